"""What is checked of the arguments of `generate` before anything runs, and of its result."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Carry, Params
from seqjax._internal.validation import check_causal, known, whole_number
from seqjax.core import driver
from seqjax.core.call import Call
from seqjax.core.cell import Cell, check_cell_type
from seqjax.decode.history import Processor
from seqjax.decode.processors import Rule
from seqjax.decode.request import Chain, Request
from seqjax.decode.strategy import Strategy
from seqjax.errors import ArgumentError, ArgumentTypeError


def make_request(
    cell: Cell, params: Params, prompt: Any, steps: Any, strategy: Any, stop: Any, lengths: Any, carry: Carry, key: Any,
    processors: Any,
) -> Request:  # fmt: skip
    """The arguments of `generate` as a request.

    Raises:
        ArgumentError, ArgumentTypeError: what cannot be right.
    """
    check_cell_type("generate", cell)
    check_causal(cell)
    check_strategy(strategy)
    steps = whole_number("steps", steps)
    prompt, lengths = check_prompt(cell, prompt, lengths)
    processors = check_processors(cell, processors)
    check_key(strategy, key, prompt.shape[0])
    call = driver.prepare(Call.of(cell, params, prompt, carry, {"lengths": lengths}))
    check_room(call, steps)
    stop = check_stop(stop)
    strategy.check(find_vocabulary(call), steps, stop)
    lengths = None if call.lengths is None else call.lengths.astype(np.int32)
    return Request(
        cell, strategy, stop, Chain.of(processors), max(steps, 1), params, prompt, lengths, call.carry, key, steps
    )  # fmt: skip


def find_vocabulary(call: Call) -> int:
    """V, as the cell tells it, or else as its logits show; what is wrong with those is told by `check_logits`."""
    if call.cell.out_features is not None:
        return call.cell.out_features
    one = jax.ShapeDtypeStruct((*call.layout.batch, 1), jnp.int32)
    logits = jax.eval_shape(lambda xs: driver.run(Call.of(call.cell, call.params, xs, call.carry, {}))[1], one)
    return int(getattr(logits, "shape", (0,))[-1])


def check_strategy(strategy: object) -> None:
    """Refuse what is no strategy."""
    if isinstance(strategy, Strategy):
        return
    slip = f" Call it: {strategy.__name__}()" if hasattr(strategy, "__name__") else ""
    raise ArgumentTypeError(
        f"strategy must be a strategy such as greedy() or sample(temperature=0.8), found {strategy!r}.{slip}"
    )


def check_prompt(cell: Cell, prompt: Any, lengths: Any) -> tuple[Array, Array | None]:
    """Token ids `[B, P]` as int32, and lengths of at least 1."""
    if cell.feature_axes != 0:
        raise ArgumentError(
            f"generate: {cell!r} takes vectors, but what it generates are token ids. Put Embed(vocabulary, features) "
            "first, as in stack(Embed(256, 64), LSTM(64), Dense(256))"
        )
    prompt = prompt if hasattr(prompt, "dtype") else np.asarray(prompt)
    if not jnp.issubdtype(prompt.dtype, jnp.integer):
        slip = " Text? Encode it" if prompt.dtype.kind in "OSU" else ""
        raise ArgumentTypeError(f"prompt must be token ids of an integer dtype, found {prompt.dtype}.{slip}")
    if prompt.ndim not in (1, 2):
        raise ArgumentError(
            f"prompt must be first tokens [B], or [B, P], found the shape {tuple(prompt.shape)}. One text only? "
            "prompt[None]; more batch axes? jax.vmap"
        )
    if prompt.ndim == 1:
        if lengths is not None:
            raise ArgumentError(
                "lengths were given, but prompt has the shape [B], the first token of each row. One text? prompt[None]"
            )
        prompt = prompt[:, None]
    if prompt.shape[1] == 0:
        raise ArgumentError("prompt has no tokens; begin with one that marks the beginning, prompt=[begin] * B")
    if lengths is not None:
        lengths = lengths if hasattr(lengths, "dtype") else np.asarray(lengths)
        if known(lengths) and np.any(np.asarray(lengths) == 0):
            row = int(np.argmin(np.asarray(lengths)))
            raise ArgumentError(
                f"lengths must be at least 1, as the first token is predicted from the prompt, found 0 in row {row}"
            )
    return prompt.astype(np.int32), lengths


def check_processors(cell: Cell, processors: Any) -> tuple[Processor, ...]:
    """Functions, in a tuple."""
    if callable(processors):
        raise ArgumentTypeError(f"processors must be a tuple, found {processors!r}. Write ({processors!r},)")
    if not isinstance(processors, Iterable):
        raise ArgumentTypeError(f"processors must be a tuple of functions, found {processors!r}")
    processors = tuple(processors)
    for processor in processors:
        if not callable(processor) or isinstance(processor, type):
            raise ArgumentTypeError(
                f"processors must be functions (logits, history) -> logits such as repetition(1.2), found {processor!r}"
            )
        if isinstance(processor, Rule) and cell.out_features is not None:
            processor.check(cell.out_features)
    return processors


def check_key(strategy: Strategy, key: Any, batch: int) -> None:
    """One key, or one for each row, where the strategy draws."""
    if key is None:
        if strategy.draws:
            raise ArgumentError(f"{strategy!r} draws random numbers: pass key=jax.random.key(0)")
        return
    if not hasattr(key, "dtype") or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise ArgumentTypeError(
            f"key must be a key such as jax.random.key(0), found {key!r}. jax.random.PRNGKey makes keys of "
            "the old style"
        )
    if key.shape not in ((), (batch,)):
        raise ArgumentError(f"key must be one key, or one for each of {batch} rows, found the shape {key.shape}")


def check_logits(request: Request, logits: Any) -> None:
    """The cell gives logits `[B, K, V]`, takes each token that it can give, and can give each stop token."""
    cell = request.cell
    shape: tuple[int, ...] = getattr(logits, "shape", ())
    if len(shape) != 3 or not jnp.issubdtype(logits.dtype, jnp.floating) or not shape[2]:
        raise ArgumentError(
            f"generate: {cell!r} must give logits [B, V] in each step, found {logits}. Put Dense(vocabulary) last"
        )
    for stop in request.stop:
        if stop >= shape[2]:
            raise ArgumentError(f"stop is {stop}, but the cell gives logits of {shape[2]} tokens")
    try:
        cell.check_input(np.full((1, 1), shape[2] - 1), None, values=True)
    except ArgumentError as error:
        raise ArgumentError(
            f"generate: the cell gives logits of {shape[2]} tokens, but does not take all of them as input: {error}"
        ) from error


def check_room(call: Call, steps: int) -> None:
    """Refuse more tokens than a cache holds, where it is known: all are read but the last that is generated."""
    lengths = np.asarray(call.lengths if call.lengths is not None and known(call.lengths) else call.layout.length)
    if call.lengths is not None and not known(call.lengths):
        lengths = np.asarray(1)
    for cell, capacity, count in call.cell.limits(call.carry):
        there = np.asarray(count) if known(count) else np.asarray(0)
        lengths_there = lengths.reshape(lengths.shape + (1,) * max(0, there.ndim - lengths.ndim))
        needed = int(np.max(there + lengths_there, initial=0)) + max(steps - 1, 0)
        if needed > capacity:
            raise ArgumentError(
                f"{cell!r}: its cache holds {capacity} tokens, but prompt and {steps} steps need {needed} with what "
                "is in the carry. Make it with a larger capacity, or take fewer steps"
            )


def check_stop(stop: Any) -> tuple[int, ...]:
    """Token ids, as a tuple."""
    if stop is None:
        return ()
    stops = tuple(stop) if isinstance(stop, (tuple, list)) else (stop,)
    return tuple(whole_number("stop", value) for value in stops)


def check_failure(failure: Array) -> None:
    """Refuse rows that have failed, where it is known.

    Raises:
        ArgumentError: logits were NaN, or processors have left no token.
    """
    failed = np.flatnonzero(np.asarray(failure))
    if failed.size == 0:
        return
    row, code = int(failed[0]), int(np.asarray(failure)[failed[0]])
    if code > 0:
        raise ArgumentError(
            f"generate: the logits of row {row} are NaN at step {code - 1}. Parameters that diverged, or a cache that "
            "overflows?"
        )
    raise ArgumentError(
        f"generate: the processors left no token to choose in row {row} at step {-code - 1}. Do they contradict "
        "each other?"
    )
