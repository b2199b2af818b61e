"""How a cell is to run over a sequence, and a record of how it did."""

import contextlib
import contextvars
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import is_inexact

_record: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("record", default=None)


@dataclass(frozen=True)
class Plan:
    """How a cell runs over a sequence; what each field means stands in `seqjax.scan`.

    mask, resets: bool `[T, B]` or None. Where the mask is False `xs` must already be harmless (`harmless`).
    lengths: `[B]`, when the mask was given as lengths: real steps then come first. The mask is there too.
    fresh: the carry is the one a sequence begins with, and no call of `sequence` or `run` will see another
        (False under `checkpoint`), so that a cache need not be looked at.
    engine: what was asked for; "auto" leaves the choice to the cell.
    """

    mask: Any = None
    resets: Any = None
    lengths: Any = None
    fresh: bool = False
    engine: str = "auto"
    reverse: bool = False
    gradient: str = "deferred"
    checkpoint: int | str | None = None
    unroll: int = 1
    checked: bool = False


def boundaries(plan: Plan) -> Any:
    """The flags "start anew before this step" in the direction of travel.

    A reset at step t parts t from t-1. Read backwards, it falls before the next real step below t, however
    many unreal steps lie between.
    """
    if plan.resets is None:
        return None
    resets = plan.resets if plan.mask is None else plan.resets & plan.mask
    if not plan.reverse or resets.shape[0] == 0:
        return resets
    last = jnp.zeros_like(resets[:1])
    if plan.mask is None:
        return jnp.concatenate([resets[1:], last])
    length = resets.shape[0]
    steps = lax.broadcasted_iota(jnp.int32, resets.shape, 0)
    real = lax.cummin(jnp.where(plan.mask, steps, length), axis=0, reverse=True)
    following = jnp.concatenate([real[1:], jnp.full_like(real[:1], length)])
    flagged = jnp.take_along_axis(resets, jnp.minimum(following, length - 1), axis=0)
    return flagged & (following < length) & plan.mask


@contextlib.contextmanager
def recording() -> Iterator[list[str]]:
    """Collect a line for each path taken by the cells that run inside the block."""
    lines: list[str] = []
    token = _record.set(lines)
    try:
        yield lines
    finally:
        _record.reset(token)


def is_recording() -> bool:
    """Whether a block of `recording` is active."""
    return _record.get() is not None


def note(line: str) -> None:
    """Add a line to the record of `recording`, if there is one."""
    lines = _record.get()
    if lines is not None and line not in lines:
        lines.append(line)


def harmless(xs: Any, mask: Any, reverse: bool) -> Any:
    """Inputs `[T, B, ...]` whose unreal steps hold what their row's first real step (in this direction) holds.

    What comes of an unreal step is thrown away, but a gradient of zero times an infinite slope would be NaN. Zeros
    would not do: `x / |x|` has such a slope there. Loops run unreal steps from the carry that the sequence begins with,
    so that carry and input are a pair that the cell has met, or would meet. A row without real steps reads the mean of
    the other rows' first ones.
    """
    if mask is None or mask.shape[0] == 0:
        return xs
    mask = jnp.asarray(mask)
    steps = jnp.cumsum(mask, axis=0) if not reverse else jnp.cumsum(mask[::-1], axis=0)[::-1]
    first, some = mask & (steps == 1), jnp.any(mask, axis=0)

    def one(x: jax.Array) -> jax.Array:
        wide = lambda flag: flag.reshape(flag.shape + (1,) * (x.ndim - mask.ndim))
        own = jnp.sum(jnp.where(wide(first), x, 0), axis=0, dtype=x.dtype)
        filler = jnp.where(wide(some), own, _typical(own, wide(some), some.ndim)) if is_inexact(x) else own
        return jnp.where(wide(mask), x, lax.stop_gradient(filler))

    return jax.tree.map(one, xs)


def _typical(own: jax.Array, some: jax.Array, batch_axes: int) -> jax.Array:
    """The mean over the rows for which `some` is True; where there is none, numbers between 0 and 1."""
    axes = tuple(range(batch_axes))
    count = jnp.sum(some, axis=axes, keepdims=True).astype(own.dtype)
    mean = jnp.sum(jnp.where(some, own, 0), axis=axes, keepdims=True) / jnp.maximum(count.real, 1)
    features = own.shape[batch_axes:]
    numbers = jnp.linspace(0.25, 0.75, max(1, math.prod(features)), dtype=own.dtype).reshape(mean.shape)
    typical = jnp.where(count.real > 0, mean, numbers).astype(own.dtype)
    return jnp.broadcast_to(typical, own.shape) + 0 * own  # which brings the sharding of the rows along
