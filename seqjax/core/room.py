"""Caches that would overflow: refused where it is known, before anything is computed.

Within `jit` the number of tokens in a cache is not known; there the outputs of those that do not fit are NaN.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import checkify

from seqjax._internal.types import Array, Bool, Int
from seqjax._internal.validation import known
from seqjax.core.call import Call
from seqjax.core.plan import Plan, find_starts
from seqjax.errors import ArgumentError


class _Tokens(NamedTuple):
    """How many come before the first reset, and at most after one without another; `[B]`, or the same for all rows."""

    first: Int[Array, "*B"] | int
    later: Int[Array, "*B"] | int


def check_room(call: Call) -> None:
    """Refuse a call that writes more tokens into a cache than it holds.

    Raises:
        ArgumentError: so it is.
    """
    marked = call.resets is not None or call.mask is not None or call.lengths is not None
    flags = [a for a in (call.mask, call.lengths, call.resets) if a is not None]
    for cell, capacity, count in call.cell.limits(call.carry):
        if not all(map(known, flags)) or not known(count):
            if call.layout.length > capacity and not marked:
                _refuse(cell, capacity, 0, call.layout.length)
            continue
        tokens = _known_tokens(call) if marked else _Tokens(call.layout.length, 0)
        there, first = _align(np.asarray(count), np.asarray(tokens.first))
        later = np.asarray(tokens.later)
        if (there + first).max(initial=0) > capacity:
            there, first = (a.ravel()[np.argmax(there + first)] for a in np.broadcast_arrays(there, first))
            _refuse(cell, capacity, there, first)
        if later.max(initial=0) > capacity:
            _refuse(cell, capacity, 0, later.max())


def check_room_inside_jit(call: Call) -> None:
    """The same as a check of `checkify`."""
    for cell, capacity, count in call.cell.limits(call.carry):
        tokens = _count_tokens(call)
        there, first = _align(jnp.asarray(count), jnp.asarray(tokens.first))
        all_of = jnp.broadcast_to(there, jnp.broadcast_shapes(there.shape, first.shape)) + first
        most = jnp.maximum(jnp.max(all_of, initial=0), jnp.max(jnp.asarray(tokens.later), initial=0))
        checkify.check(most <= capacity, f"{cell!r}: its cache holds {capacity} tokens, not {{most}}", most=most)


def _align(there: Int[Array, "..."], first: Int[Array, "*B"]) -> tuple[Any, Any]:
    """Both of one rank; a count may have the axes of layers after those of the batch."""
    return there, first.reshape(first.shape + (1,) * max(0, there.ndim - first.ndim))


def _known_tokens(call: Call) -> _Tokens:
    with jax.ensure_compile_time_eval():  # also where a program is being traced
        return _count_tokens(call)


def _count_tokens(call: Call) -> _Tokens:
    mask, shape = call.real_steps(), (call.layout.length, *call.layout.batch)
    real = jnp.ones(shape, bool) if mask is None else jnp.asarray(mask)
    resets = None if call.resets is None else call.layout.time_first(jnp.asarray(call.resets))
    starts = find_starts(Plan(mask=real, resets=resets, reverse=call.options.reverse))
    if starts is None or not shape[0]:
        return _Tokens(jnp.sum(real, axis=0, dtype=jnp.int32), 0)
    return _segment_lengths(*((real[::-1], starts[::-1]) if call.options.reverse else (real, starts)))


def _segment_lengths(real: Bool[Array, " T *B"], starts: Bool[Array, " T *B"]) -> _Tokens:
    read = lax.cumsum(jnp.asarray(real).astype(jnp.int32), axis=0)
    begun = lax.cummax(jnp.asarray(starts).astype(jnp.int32), axis=0) > 0
    before = lax.cummax(jnp.where(starts, read - 1, 0), axis=0)
    first, later = jnp.where(begun, 0, read), jnp.where(begun, read - before, 0)
    return _Tokens(jnp.max(first, axis=0), jnp.max(later, axis=0))


def _refuse(cell: object, capacity: int, there: int | np.integer, new: int | np.integer) -> None:
    raise ArgumentError(
        f"{cell!r}: its cache holds {capacity} tokens, but there are {there} and {new} more come without a reset. "
        "Make it with a larger capacity, or with a window"
    )
