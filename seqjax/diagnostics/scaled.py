"""Cotangents far beyond the range of floats: arrays near 1, times a power of two that is kept as a whole number.

Multiplying by a power of two rounds nothing, and whole numbers add up exactly: after a million steps the exponent is
as right as after one. (A logarithm that is added to at each step drifts: by e^4 after 20,000 steps in float32.)
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Bool, Float, Inexact, Int, PyTree, Shape

LOWEST = -(2**29)  # the exponent of zero; far below all others, and two of them add up without overflow


class Scaled(NamedTuple):
    """The tree times 2^exponent; exponent int32 `[B]`, whose axes all leaves have first."""

    tree: PyTree
    exponent: Int[jax.Array, "*B"]


def normalize(tree: PyTree, exponent: Int[jax.Array, "*B"]) -> Scaled:
    """The same value, with the largest entry of each example in [0.5, 1); all zeros have the exponent LOWEST."""
    most = largest(tree, exponent)
    own = jnp.frexp(most)[1]
    # In two halves: 2^-own itself may be out of the range of floats.
    scaled = jax.tree.map(lambda leaf: times(times(leaf, -(own // 2)), own // 2 - own), tree)
    return Scaled(scaled, jnp.where(most == 0, LOWEST, exponent + own))


def align(parts: list[Scaled]) -> Scaled:
    """Several values as one: a list of trees under their largest exponent; what is 2^-126 below it becomes 0."""
    top = parts[0].exponent
    for part in parts[1:]:
        top = jnp.maximum(top, part.exponent)
    return Scaled([jax.tree.map(lambda leaf: times(leaf, e - top), tree) for tree, e in parts], top)


def add(parts: list[Scaled]) -> Scaled:
    """The sum, for trees of one structure."""
    trees, top = align(parts)
    return normalize(jax.tree.map(lambda *leaves: sum(leaves), *trees), top)


def log_norm(tree: PyTree, exponent: Int[jax.Array, "*B"]) -> Float[jax.Array, "*B"]:
    """The natural logarithm of the Euclidean norm of each example; -inf for zero."""
    most = largest(tree, exponent)
    safe = jnp.where(most > 0, most, 1)
    squares = [jnp.sum(jnp.abs(row / safe[..., None]) ** 2, axis=-1) for row in _rows(tree, exponent)]
    return jnp.log(most) + 0.5 * jnp.log(sum(squares, jnp.zeros_like(safe))) + exponent * math.log(2)


class Logs(NamedTuple):
    """Log norms of rows, `[*T, B]`, and how far they agree, `[*T]`, or None.

    agreement: r = |sum_b g_b|^2 / (n sum_b |g_b|^2) over the n real rows: 1 where all are equal, 1 / n for orthogonal
        ones, NaN where all are zero.
    """

    rows: Float[jax.Array, "*T B"]
    agreement: Float[jax.Array, "*T"] | None


def log_norms(tree: PyTree, exponent: Int[jax.Array, "*T B"], real: Bool[jax.Array, "*T B"] | None = None) -> Logs:
    """Of each row, and with real how far the real ones agree."""
    logs = log_norm(tree, exponent)
    if real is None:
        return Logs(logs, None)
    exponents = jnp.where(real, exponent, LOWEST)
    top = jnp.max(exponents, axis=-1)
    power = jnp.where(real, exponents - top[..., None], LOWEST)
    scaled = normalize(jax.tree.map(lambda leaf: times(leaf, power), tree), top).tree
    zero = jnp.zeros(top.shape, logs.dtype)
    rows = _rows(scaled, exponent)
    total = sum((jnp.sum(jnp.abs(jnp.sum(row, axis=-2)) ** 2, axis=-1) for row in rows), zero)
    squares = sum((jnp.sum(jnp.abs(row) ** 2, axis=(-2, -1)) for row in rows), zero)
    count = jnp.sum(real, axis=-1) * squares
    return Logs(logs, jnp.where(count > 0, total / jnp.where(count > 0, count, 1), jnp.nan))


def join_norms(logs: list[jax.Array], shape: Shape) -> Float[jax.Array, "..."]:
    """The log norm of vectors side by side, of the given shape; NaN entries stay NaN."""
    if not logs:
        return jnp.full(shape, -jnp.inf)
    both = jnp.stack(logs)
    top = jnp.max(both, axis=0)
    safe = jnp.where(jnp.isfinite(top), top, 0)
    return safe + 0.5 * jnp.log(jnp.sum(jnp.exp(2 * (both - safe[None])), axis=0))


def largest(tree: PyTree, exponent: Int[jax.Array, "*B"]) -> Float[jax.Array, "*B"]:
    """The largest absolute value among the entries of each example."""
    sizes = [jnp.max(jnp.abs(row), axis=-1, initial=0) for row in _rows(tree, exponent)]
    most = jnp.zeros(jnp.shape(exponent), jnp.float32) if not sizes else sizes[0]
    for size in sizes[1:]:
        most = jnp.maximum(most.astype(jnp.promote_types(most.dtype, size.dtype)), size)
    return most.astype(jnp.promote_types(most.dtype, jnp.float32))


def _rows(tree: PyTree, exponent: Int[jax.Array, "*B"]) -> list[Inexact[jax.Array, "*B N"]]:
    """Each leaf with its own axes as one."""
    shape = jnp.shape(exponent)
    return [leaf.reshape(*shape, -1) for leaf in jax.tree.leaves(tree)]


def times(leaf: Inexact[jax.Array, "*B_D"], power: Int[jax.Array, "*B"]) -> Inexact[jax.Array, "*B_D"]:
    """leaf 2^power, exactly; a power below the range of floats gives zeros."""
    wide = jnp.finfo(leaf.dtype).dtype if jnp.finfo(leaf.dtype).bits >= 32 else jnp.float32
    info = jnp.finfo(wide)
    integer = jnp.int64 if info.bits == 64 else jnp.int32
    # 2^k has the exponent k in its bits, biased so that the smallest normal number has 1, and no fraction.
    kept = jnp.clip(power, info.minexp, info.maxexp - 1).astype(integer)
    factor = lax.bitcast_convert_type((kept - info.minexp + 1) << info.nmant, wide)
    factor = jnp.where(power < info.minexp, 0, factor)
    return leaf * factor.reshape(factor.shape + (1,) * (leaf.ndim - factor.ndim)).astype(jnp.finfo(leaf.dtype).dtype)
