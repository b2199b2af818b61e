"""The public driver: run any cell over sequences, with padding, resets, direction and memory as options."""

from typing import Any

import jax

from seqjax.core import driver
from seqjax.core.cell import Cell, Params
from seqjax.core.plan import recording


def scan(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Any = None,
    *,
    mask: Any = None,
    lengths: Any = None,
    resets: Any = None,
    reverse: bool = False,
    time_major: bool = False,
    gradient: str = "deferred",
    checkpoint: int | str | None = None,
    unroll: int = 1,
    engine: str = "auto",
    checked: bool = False,
) -> tuple[Any, Any]:
    """Run a cell over whole sequences: `carry, ys = scan(cell, params, xs)`.

    Padding law: nothing in an unreal step (NaN, inf, 1e38, any token id) changes an output, a carry or any
    gradient. The carry is held over unreal steps and `ys` is zero there. Length 0 gives the initial carry back.

    Outside `jit` the call is compiled once for equal cells, options and shapes, and is fast from then on. A cell is a
    value: what its step reads besides its options and arguments, such as a global, stays what it was the first time.

    Dtypes: ys has the promoted dtype of params and xs. A carry keeps the dtype it comes in; the default one is
    float32, or wider where params or xs are.

    Args:
        cell: an LSTM, a stack, anything that is a `Cell`.
        params: from `cell.init(key, in_features)`.
        xs: `[B, T, D]` for any number of batch axes, also none; token ids `[B, T]`; or a tree of such arrays.
        carry: the carry to start from; `cell.initial_carry(params, batch_shape)` where None.
        mask: bool `[B, T]`, True where a step is real; gaps are allowed.
        lengths: whole numbers `[B]`, 0 ... T: the first so many steps are real. Instead of `mask`.
        resets: bool `[B, T]`, True where a new sequence begins, so that nothing passes between that step and the
            one before it, in whichever direction it is read.
        reverse: go from the last step to the first; ys stay in the order of xs.
        time_major: xs, mask, resets and ys are `[T, B, ...]`.
        gradient: "deferred" (weight gradients after the loop; see `seqjax.core.gradient`) or "autodiff".
        checkpoint: None; a number of steps; or "sqrt". Keeps only one carry every so many steps for the backward
            pass and computes the rest again, so that memory stays bounded over very long sequences.
        unroll: steps a turn of the inner loop.
        engine: "auto", or "scan" for the loop over time.
        checked: inside `jit`, also check values (lengths, token ids) through `jax.experimental.checkify`, by which
            the calling function must then be transformed.

    Returns:
        The carry after the last real step, and ys `[B, T, F]`.

    Raises:
        ArgumentError, ArgumentTypeError: a shape, dtype, structure, option or (outside `jit`) value that cannot
            be right; the message names it. Nothing has been computed by then.
    """
    options = driver.Options(
        mask, lengths, resets, reverse, time_major, gradient, checkpoint, unroll, engine, checked
    )  # fmt: skip
    call = driver.prepare(cell, params, xs, carry, options)
    return driver.run(*call) if call.is_inline() else driver.compiled(*call)


def explain(cell: Cell, params: Params, xs: Any, carry: Any = None, **options: Any) -> str:
    """Which path each part of the cell takes in `scan` with these arguments, and why not a faster one.

    The text is recorded while `scan` itself is traced, so it tells what happens; nothing is computed.
    """
    with recording() as lines:
        jax.eval_shape(lambda p, x, c: scan(cell, p, x, c, **options), params, xs, carry)
    return "\n".join(lines)
