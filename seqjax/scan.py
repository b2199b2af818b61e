"""The driver: run any cell over sequences, with padding, resets, direction and memory as options."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import checkify

from seqjax import checks
from seqjax.cell import Cell, Params
from seqjax.plan import Plan, recording
from seqjax.trees import out_dtype, select


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
        gradient: "deferred" (weight gradients after the loop, only carries kept; see `seqjax.loop`) or "autodiff".
        checkpoint: None; a number of steps; or "sqrt". Keeps only one carry every so many steps for the backward
            pass and computes the rest again, so that memory stays bounded over very long sequences.
        unroll: steps a turn of the inner loop.
        engine: "auto" or "scan".
        checked: inside `jit`, also check values (lengths, token ids) through `jax.experimental.checkify`, by which
            the calling function must then be transformed.

    Returns:
        The carry after the last real step, and ys `[B, T, F]`.

    Raises:
        ArgumentError, ArgumentTypeError: a shape, dtype, structure, option or (outside `jit`) value that cannot
            be right; the message names it. Nothing has been computed by then.
    """
    checks.options(cell, params, gradient, checkpoint, unroll, engine, reverse, time_major)
    xs = checks.arrays("xs", xs)
    shape = checks.sequence_shape(cell, xs, time_major)
    checks.params(cell, params, xs, shape)
    mask = _mask(cell, mask, lengths, shape, checked)
    if resets is not None:
        resets = shape.time_first(checks.flags(cell, "resets", resets, shape))
    checks.input_values(cell, xs, mask, shape)
    if carry is None:
        carry = _anchored(cell.initial_carry(params, shape.batch), xs, shape)
    else:
        carry = checks.carry(cell, params, checks.arrays("carry", carry), shape)

    xs = _clean(shape.leaves_time_first(xs), mask)
    plan = Plan(mask, resets, reverse, gradient, checkpoint, unroll, checked)
    carry, ys = cell.sequence(params, carry, xs, plan)
    ys = _clean(ys, mask)
    return carry, ys if time_major else jax.tree.map(shape.time_back, ys)


def explain(cell: Cell, params: Params, xs: Any, carry: Any = None, **options: Any) -> str:
    """Which path each part of the cell takes in `scan` with these arguments, and why not a faster one.

    The text is recorded while `scan` itself is traced, so it tells what happens; nothing is computed.
    """
    with recording() as lines:
        jax.eval_shape(lambda p, x, c: scan(cell, p, x, c, **options), params, xs, carry)
    return "\n".join(lines)


def _mask(cell: Cell, mask: Any, lengths: Any, shape: checks.Shape, checked: bool) -> Any:
    if lengths is None:
        return None if mask is None else shape.time_first(checks.flags(cell, "mask", mask, shape))
    lengths = checks.lengths(cell, lengths, mask, shape)
    if checked:
        checkify.check(
            jnp.all((lengths >= 0) & (lengths <= shape.length)),
            f"lengths must be in [0, {shape.length}], found {{low}} to {{high}}",
            low=jnp.min(lengths, initial=jnp.iinfo(lengths.dtype).max),
            high=jnp.max(lengths, initial=jnp.iinfo(lengths.dtype).min),
        )
    if isinstance(lengths, np.ndarray):
        return np.arange(shape.length).reshape(-1, *(1,) * lengths.ndim) < lengths
    # int32 steps: in the lengths' own dtype, an int8 say, they would wrap around.
    steps = lax.broadcasted_iota(jnp.int32, (shape.length, *shape.batch), 0)
    return steps < jnp.broadcast_to(lengths.astype(jnp.int32), steps.shape)


def _clean(tree: Any, mask: Any) -> Any:
    """Zeros in the unreal steps; by selection, as 0 * NaN is NaN."""
    return select(mask, tree, jax.tree.map(jnp.zeros_like, tree))


def _anchored(carry: Any, xs: Any, shape: checks.Shape) -> Any:
    """Give a default carry the sharding and the floating width of the input.

    A carry made from nothing is replicated, which neither `shard_map` nor a mesh of explicit axes lets a loop
    carry beside batch-sharded inputs; so zeros made from the input are added to it.
    """
    x = jax.tree.leaves(shape.leaves_time_first(xs))[0]
    zero = jnp.sum(x, axis=(0, *range(1 + len(shape.batch), x.ndim)))
    width = out_dtype((), xs)

    def one(leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if jnp.issubdtype(leaf.dtype, jnp.floating) and jnp.issubdtype(x.dtype, jnp.floating):
            leaf = leaf.astype(jnp.promote_types(leaf.dtype, width))
        zeros = jnp.zeros_like(zero, dtype=leaf.dtype)
        zeros = zeros.reshape(zero.shape + (1,) * (leaf.ndim - zero.ndim))
        return leaf + jnp.broadcast_to(zeros, leaf.shape)

    return jax.tree.map(one, carry)
