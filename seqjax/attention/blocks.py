"""Terms cut into blocks of queries and keys, leaf by leaf, for loops over the blocks.

A leaf of `Terms` may have an axis of queries, one of keys, both (flags and biases of pairs), or none. Leaves are held
by number, so that tangents, of which there are fewer, are cut by the same rule.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqjax.attention.mask import Segments
from seqjax.attention.terms import Terms

Leaves = dict[int, jax.Array]
"""Leaves of terms, by number."""


class Axes(NamedTuple):
    """Which axis of each leaf counts the queries and which the keys, from the end; 0 where none does."""

    queries: list[int]
    keys: list[int]


class Counts(NamedTuple):
    """A number for queries and one for keys: of blocks, or in a block."""

    queries: int
    keys: int


def axes_of(terms: Terms) -> Axes:
    """Those of all leaves, in the order of `jax.tree.leaves`."""
    none = jax.tree.map(lambda leaf: 0, terms)
    dropout = jax.tree.map(lambda leaf: -2, terms.dropout)
    queries = none._replace(q=-2, q_positions=-1, dropout=dropout, **_axes_of_pairs(terms, -2, (-1, 0)))
    keys = none._replace(k=-2, v=-2, k_positions=-1, **_axes_of_pairs(terms, -1, (0, -1), real=-1))
    return Axes(jax.tree.leaves(queries), jax.tree.leaves(keys))


def _axes_of_pairs(terms: Terms, axis: int, ids: tuple[int, int], real: int = 0) -> dict[str, Any]:
    """The axes of mask and bias of pairs; where an axis is of size 1, it is not cut."""
    mask = terms.mask
    if mask is not None:
        mask = dataclasses.replace(
            mask,
            real=None if mask.real is None else real,
            segments=tuple(Segments(*ids) for _ in mask.segments),
            prefix=None if mask.prefix is None else 0,
            pairs=_axis_of_pairs(mask.pairs, axis),
        )
    return {"mask": mask, "pair_bias": _axis_of_pairs(terms.pair_bias, axis)}


def _axis_of_pairs(array: jax.Array | None, axis: int) -> int | None:
    return None if array is None else axis if array.shape[axis] > 1 else 0


def number(tree: Terms) -> Leaves:
    """The leaves by number."""
    return dict(enumerate(jax.tree.leaves(tree)))


def unnumber(leaves: Leaves, like: Terms) -> Terms:
    """The inverse of `number`."""
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[i] for i in range(len(leaves))])


def stack(array: jax.Array, axis: int, count: int) -> jax.Array:
    """An axis cut into so many blocks, which become the first axis."""
    at = array.ndim + axis
    cut = array.reshape(*array.shape[:at], count, array.shape[at] // count, *array.shape[at + 1 :])
    return jnp.moveaxis(cut, at, 0)


def join(stacked: jax.Array, axis: int) -> jax.Array:
    """The inverse of `stack`."""
    at = stacked.ndim + axis - 1
    blocks = jnp.moveaxis(stacked, 0, at)
    return blocks.reshape(*blocks.shape[:at], blocks.shape[at] * blocks.shape[at + 1], *blocks.shape[at + 2 :])


class Grid:
    """Leaves of terms, or their tangents, cut into blocks both ways: `queries`, then for one of these blocks `keys`."""

    def __init__(self, leaves: Leaves, axes: Axes, count: Counts) -> None:
        self.leaves, self.axes, self.count = leaves, axes, count
        self._keys = {i: a for i, a in leaves.items() if axes.keys[i] and not axes.queries[i]}
        self._keys = self._cut(self._keys, axes.keys, count.keys)  # once, not for each block of queries

    @staticmethod
    def _cut(leaves: Leaves, axes: list[int], count: int) -> Leaves:
        return {i: stack(leaf, axes[i], count) for i, leaf in leaves.items() if axes[i]}

    def queries(self) -> Leaves:
        """The leaves that queries have a part in, their blocks along the first axis."""
        return self._cut(self.leaves, self.axes.queries, self.count.queries)

    def keys(self, part: Leaves) -> Leaves:
        """The leaves that keys have a part in, for one block of queries, blocks of keys along the first axis."""
        return self._keys | self._cut(part, self.axes.keys, self.count.keys)

    def block(self, part: Leaves, parts: Leaves) -> Leaves:
        """All leaves, cut to one block of queries and one of keys."""
        return self.leaves | part | parts


def pad(terms: Terms, axes: list[int], by: int) -> Terms:
    """Terms with an axis made longer: numbers by zeros, flags by False, positions and ids by the last of them."""
    if not by:
        return terms
    leaves, structure = jax.tree.flatten(terms)
    return jax.tree.unflatten(structure, [_pad(leaf, axis, by) for leaf, axis in zip(leaves, axes)])


def _pad(leaf: jax.Array, axis: int, by: int) -> jax.Array:
    if not axis:
        return leaf
    widths = [(0, 0)] * leaf.ndim
    widths[axis] = (0, by)
    return jnp.pad(leaf, widths, mode="edge" if jnp.issubdtype(leaf.dtype, jnp.integer) else "constant")
