"""Token by token, as they are written: an iterator for Python."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Carry, Int, Key, Params
from seqjax._internal.validation import known
from seqjax.core.cell import Cell
from seqjax.decode import loop
from seqjax.decode.checks import check_failure, make_request
from seqjax.decode.history import Processor
from seqjax.decode.request import LEAST_ROOM, Request
from seqjax.decode.strategy import Greedy, Strategy
from seqjax.errors import ArgumentError

_ENDLESS = 2**31 - 1


def stream(
    cell: Cell,
    params: Params,
    prompt: Int[Array, "..."] | Sequence,
    *,
    steps: int | None = None,
    strategy: Strategy = Greedy(),
    stop: int | Sequence[int] | None = None,
    lengths: Int[Array, "..."] | Sequence | None = None,
    carry: Carry = None,
    key: Key[Array, "..."] | None = None,
    processors: Sequence[Processor] = (),
) -> Iterator[np.ndarray]:
    """The tokens of `generate`, one step at a time: an iterator of NumPy arrays `[B]`.

    Arguments are those of `generate`; without `steps` it goes on until all rows have stopped, for ever if need be. A
    step is compiled once (and again when the text outgrows its buffers, which double).

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax import decode
        >>> model = sj.stack(sj.Embed(10, 8), sj.LSTM(16), sj.Dense(10))
        >>> params = model.init(jax.random.key(0), 0)
        >>> written = [int(token[0]) for token in decode.stream(model, params, [[1, 2, 3]], steps=5)]
        >>> written == decode.generate(model, params, [[1, 2, 3]], steps=5).tokens[0].tolist()
        True

    Raises:
        ArgumentError, ArgumentTypeError: as `generate`; a strategy of several beams, which cannot tell a token before
            it has seen the next; a call inside `jit`; more tokens than a cache holds, after the last that fits.
    """
    request = make_request(
        cell, params, prompt, 1 if steps is None else steps, strategy, stop, lengths, carry, key, processors
    )
    if request.strategy.beams > 1:
        raise ArgumentError(f"stream: {strategy!r} writes several texts and chooses at the end. Use generate")
    if request.is_inline():
        raise ArgumentError("stream is an iterator of Python, so it cannot be called inside jit. Use generate")
    last = _ENDLESS if steps is None else steps
    request = dataclasses.replace(request, steps=last, room=LEAST_ROOM if steps is None else request.room)
    return _write(request.with_room(), _room(request), last)


@jax.jit
def _begin(request: Request) -> Any:
    fixed, progress = loop.begin(request)
    # Copies: the carry may be that of the caller, and is given away to the first step.
    return (fixed.held, fixed.keys), progress._replace(carry=jax.tree.map(_copy, progress.carry))


def _copy(leaf: jax.Array) -> jax.Array:
    return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jnp.copy(leaf)


def _advance(fixed: loop.Fixed, progress: loop.Progress) -> tuple[loop.Progress, Any]:
    progress = loop.advance(fixed, progress)
    return progress, (progress.last[:, 0], progress.failure, jnp.all(loop.is_done(fixed.request, progress)))


_compiled = jax.jit(_advance, donate_argnums=1)


def _write(request: Request, room: int, last: int) -> Iterator[np.ndarray]:
    rest, progress = _begin(request)
    for step in range(last):
        if step == room:
            raise ArgumentError(
                f"stream: the cache of {request.cell!r} is full after {step} tokens. Make it with a larger capacity"
            )
        if step == request.room:
            request = dataclasses.replace(request, room=2 * request.room)
            progress = _enlarge(progress, request.room)
        progress, (tokens, failure, done) = _compiled(loop.Fixed(request, *rest), progress)
        check_failure(failure)
        yield np.asarray(tokens)
        if done:
            return


def _enlarge(progress: loop.Progress, room: int) -> loop.Progress:
    grow = lambda a: jnp.pad(a, ((0, 0), (0, 0), (0, room - a.shape[-1])))
    return progress._replace(tokens=grow(progress.tokens), log_probs=grow(progress.log_probs))


def _room(request: Request) -> int:
    """How many tokens can be written before a cache is full; all are read but the last."""
    room, longest = _ENDLESS, int(np.max(request.all_lengths, initial=1))
    for _, capacity, count in request.cell.limits(request.carry):
        there = np.asarray(count) if known(count) else np.asarray(0)
        room = min(room, capacity - int(np.max(there, initial=0)) - longest + 1)
    return room
