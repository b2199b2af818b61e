"""The public driver: run any cell over sequences, with padding, resets, direction and memory as options."""

from collections.abc import Sequence
from typing import Any

import jax

from seqjax._internal.types import Array, Bool, Carry, Int, Pair, Params, PyTree
from seqjax.core import driver
from seqjax.core.call import Call, Options
from seqjax.core.cell import Cell
from seqjax.core.explanation import collect_lines


def scan(
    cell: Cell,
    params: Params,
    xs: PyTree,
    carry: Carry = None,
    *,
    mask: Bool[Array, "..."] | Sequence | None = None,
    lengths: Int[Array, "..."] | Sequence | None = None,
    resets: Bool[Array, "..."] | Sequence | None = None,
    reverse: bool = False,
    time_major: bool = False,
    gradient: str = "deferred",
    checkpoint: int | str | None = None,
    unroll: int = 1,
    memory: str = "auto",
    engine: str = "auto",
    checked: bool = False,
) -> Pair:
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
        checkpoint: None; a number of steps; "sqrt"; or memory such as "512MB" or "2GiB". Keeps only one carry every
            so many steps for the backward pass and computes the rest again, so that memory stays bounded over very
            long sequences. Memory is what the loop of each layer may take, in temporary arrays beside its inputs
            and outputs: the fewest levels of segments are chosen that fit (`seqjax.core.budget` has the formula).
        unroll: steps a turn of the inner loop.
        memory: "auto", or "least": the backward pass keeps the carries alone, and not the gates too, which it then
            computes again, in about a sixth more time (up to a third), on smaller chunks. With B rows a cell of F
            units keeps, in floats a step, 2 B F (LSTM) and B F (GRU, RNN), of which B F are the outputs; "auto" adds
            5 B F, 4 B F and nothing, so that an RNN saves nothing by it. The work on a chunk takes some 30 B F more
            for each of its steps, and the carry that a chunk starts with is kept as well.
        engine: "scan", a loop over time; "associative", in blocks of steps that are composed, for cells whose
            recurrences are linear in the carry (those that define `affine`); "newton", all steps at once for any
            recurrence, with NaN in rows that it does not solve (see `seqjax.newton`, which reports how it went);
            "cudnn", one kernel of NVIDIA's for a float32 LSTM on a GPU, without resets and with a gradient of first
            order in reverse; or "auto", for each part the fastest of the first two.
        checked: inside `jit`, also check values (lengths, token ids) through `jax.experimental.checkify`, by which
            the calling function must then be transformed.

    Returns:
        The carry after the last real step, and ys `[B, T, F]`.

    Raises:
        ArgumentError, ArgumentTypeError: a shape, dtype, structure, option or (outside `jit`) value that cannot
            be right; the message names it. Nothing has been computed by then.

    Two sequences of 3 and 1 steps in one padded array:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.RNN(1, activation="identity", recurrent_init=sj.initializers.identity())
        >>> params = cell.init(jax.random.key(0), 1)
        >>> params["project"]["kernel"] = jnp.ones((1, 1))  # so that it adds up
        >>> xs = jnp.array([[[1.0], [2.0], [3.0]], [[5.0], [jnp.nan], [jnp.inf]]])
        >>> carry, ys = sj.scan(cell, params, xs, lengths=[3, 1])
        >>> ys[..., 0].tolist(), carry[:, 0].tolist()
        ([[1.0, 3.0, 6.0], [5.0, 0.0, 0.0]], [6.0, 5.0])

    The rest of a stream goes on from the carry:

        >>> carry, ys = sj.scan(cell, params, jnp.array([[[4.0]], [[1.0]]]), carry)
        >>> ys[..., 0].tolist()
        [[10.0], [6.0]]
    """
    options = Options(reverse, time_major, gradient, checkpoint, unroll, memory, engine, checked)
    return driver.execute(driver.prepare(Call(cell, options, params, xs, carry, mask, lengths, resets)))


def scan_fresh(cell: Cell, params: Params, xs: PyTree, carry: Carry, **options: Any) -> Pair:
    """`scan` from a carry that `initial_carry` has just made, of a cell that asks for a key or a memory.

    It gives what `scan` gives, but attention need not look at a cache that is known to be empty.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.core.scan import scan_fresh
        >>> cell = sj.stack(sj.Dropout(0.5), sj.GRU(4))
        >>> params = cell.init(jax.random.key(0), 3)
        >>> carry = cell.initial_carry(params, (2,), key=jax.random.key(1))
        >>> scan_fresh(cell, params, jnp.ones((2, 5, 3)), carry)[1].shape
        (2, 5, 4)
    """
    return driver.execute(driver.prepare(Call.of(cell, params, xs, carry, options, fresh=True)))


def explain(cell: Cell, params: Params, xs: PyTree, carry: Carry = None, **options: Any) -> str:
    """Which path each part of the cell takes in `scan` with these arguments, and why not a faster one.

    The text is recorded while `scan` itself is traced, so it tells what happens; nothing is computed.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> model = sj.stack(sj.Embed(256, 8), sj.LSTM(16), sj.Dense(256))
        >>> params = model.init(jax.random.key(0), 0)
        >>> print(sj.explain(model, params, jnp.zeros((4, 1024), int)))
        Embed(256, 8): all steps at once
        LSTM(16): loop over time, deferred gradient in chunks of 128
        Dense(256): all steps at once
        >>> print(sj.explain(sj.LSTM(16), params["1"], jnp.zeros((4, 9, 8)), gradient="autodiff"))
        LSTM(16): loop over time, autodiff gradient (asked for)
    """
    Call.of(cell, params, xs, carry, options)
    with collect_lines() as lines:
        jax.eval_shape(lambda p, x, c: scan(cell, p, x, c, **options), params, xs, carry)
    return "\n".join(lines)
