"""How the arrays of a sequence lie: batch axes, time, features."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, PyTree, Shape
from seqjax.errors import ArgumentError


@dataclass(frozen=True)
class Layout:
    """The axes of a sequence.

    batch: the shape of the batch axes. length: number of steps. width: D of vectors, 0 for token ids, the feature
    axes of larger inputs, None for a tree of inputs. This is what `cell.init` takes as `in_features`.
    """

    batch: Shape
    length: int
    width: int | Shape | None
    time_major: bool

    @property
    def axes(self) -> str:
        """The order of batch and time in words."""
        names = ["batch"] * len(self.batch)
        return ", ".join(["time", *names] if self.time_major else [*names, "time"])

    @property
    def leading(self) -> Shape:
        """The shape of a mask."""
        return (self.length, *self.batch) if self.time_major else (*self.batch, self.length)

    def time_first(self, tree: PyTree) -> PyTree:
        """Arrays of this layout, turned to `[T, B, ...]`."""
        if self.time_major:
            return tree
        return jax.tree.map(lambda a: jnp.moveaxis(a, len(self.batch), 0), tree)

    def restore(self, tree: PyTree) -> PyTree:
        """Arrays `[T, B, ...]`, turned back to this layout."""
        if self.time_major:
            return tree
        return jax.tree.map(lambda a: jnp.moveaxis(a, 0, len(self.batch)), tree)


def find_layout(cell: Any, xs: PyTree, time_major: bool) -> Layout:
    """The layout of xs, on which all its leaves must agree.

    Raises:
        ArgumentError: too few axes, leaves that disagree, or another structure than the cell's `feature_axes`.
    """
    try:
        ranks = jax.tree.broadcast(cell.feature_axes, xs)
    except ValueError as error:
        raise ArgumentError(
            f"{cell!r}: xs has the structure {jax.tree.structure(xs)}, which does not match the cell's "
            f"feature_axes {cell.feature_axes!r}"
        ) from error
    pairs = zip(jax.tree.leaves(xs), jax.tree.leaves(ranks))
    found = {_batch_and_length(cell, x, rank, time_major) for x, rank in pairs}
    if len(found) > 1:
        raise ArgumentError(f"{cell!r}: the arrays of xs disagree on (batch shape, steps): {sorted(found)}")
    batch, length = found.pop()
    width = None
    if hasattr(xs, "shape"):
        width = {0: 0, 1: xs.shape[-1]}.get(ranks, xs.shape[xs.ndim - ranks :])
    return Layout(batch, length, width, time_major)


def _batch_and_length(cell: Any, x: Array, rank: int, time_major: bool) -> tuple[Shape, int]:
    if x.ndim < rank + 1:
        want = "time" + ", features" * rank
        raise ArgumentError(
            f"{cell!r}: xs has shape {x.shape}, but needs at least the axes ({want}), with batch axes before. "
            "One step only? Use cell.step"
        )
    leading = tuple(x.shape[: x.ndim - rank])
    return (leading[1:], leading[0]) if time_major else (leading[:-1], leading[-1])
