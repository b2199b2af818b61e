"""Unreal steps: what a cell reads in them, and that nothing of it is seen."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import is_inexact, select
from seqjax._internal.types import Array, Bool, Inexact, PyTree, Shaped


def zero_padding(tree: PyTree, mask: Bool[Array, " T *B"] | None) -> PyTree:
    """Zeros in the unreal steps; by selection, as 0 * NaN is NaN."""
    return select(mask, tree, jax.tree.map(jnp.zeros_like, tree))


def fill_padding(xs: PyTree, mask: Bool[Array, " T *B"] | None, reverse: bool) -> PyTree:
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
    is_first, has_steps = mask & (steps == 1), jnp.any(mask, axis=0)

    def fill(x: Shaped[jax.Array, " T *B_D"]) -> Shaped[jax.Array, " T *B_D"]:
        widen = lambda flag: flag.reshape(flag.shape + (1,) * (x.ndim - mask.ndim))
        # The sum over time of what is zero but in one step: the first real input of each row, without a gather.
        own = jnp.sum(jnp.where(widen(is_first), x, 0), axis=0, dtype=x.dtype)
        filler = own
        if is_inexact(x):
            filler = jnp.where(widen(has_steps), own, _mean_of_rows(own, widen(has_steps), has_steps.ndim))
        return jnp.where(widen(mask), x, lax.stop_gradient(filler))

    return jax.tree.map(fill, xs)


def _mean_of_rows(
    first: Inexact[jax.Array, "*BD"], has_steps: Bool[jax.Array, "*BO"], batch_axes: int
) -> Inexact[jax.Array, "*BD"]:
    """The mean over the rows that have real steps; where none has, numbers between 0 and 1."""
    axes = tuple(range(batch_axes))
    count = jnp.sum(has_steps, axis=axes, keepdims=True).astype(first.dtype)
    # Divided before they are summed, as a sum of many rows may be no float.
    mean = jnp.sum(jnp.where(has_steps, first / jnp.maximum(count.real, 1), 0), axis=axes, keepdims=True)
    features = first.shape[batch_axes:]
    numbers = jnp.linspace(0.25, 0.75, max(1, math.prod(features)), dtype=first.dtype).reshape(mean.shape)
    filler = jnp.where(count.real > 0, mean, numbers).astype(first.dtype)
    return jnp.broadcast_to(filler, first.shape) + 0 * first  # which brings the sharding of the rows along
