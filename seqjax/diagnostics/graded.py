"""Products of many matrices with singular values of any size, each of them right to many digits.

A product is kept as Q diag(2^e) R: Q orthogonal, e whole numbers, the rows of R near 1 and far from dependent. That
is what a decomposition by QR with sorted columns gives step by step:

    M Q = Q' U,   U diag(2^e) R = diag(2^e') R'

Each row of R' is a sum of rows of R with weights of at most about 1, so that what is small is never the difference
of what is large (Stewart 1997, "On graded QR decompositions of products of matrices"; Bai, Lee, Li, Xu 2011).
The singular values of diag(2^e) R then come of rotations of pairs of columns, one-sided Jacobi, which gives small ones
with as many digits as large ones (Demmel and Veselic 1992; Drmac and Veselic 2008), here with an exponent for each.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import select
from seqjax._internal.types import Bool, DTypeLike, Float, Int
from seqjax.diagnostics.scaled import LOWEST, normalize, times

NOISE = 8  # in units of the last place: what is left of a column below it may be rounding alone
SWEEPS = 40  # far more than are needed, 3 to 10


class Graded(NamedTuple):
    """The matrices Q diag(2^exponent) R `[B, n, n]`; all zero rows have the exponent LOWEST."""

    q: Float[jax.Array, "B n n"]
    exponent: Int[jax.Array, "B n"]
    r: Float[jax.Array, "B n n"]


def identity(rows: int, width: int, dtype: DTypeLike) -> Graded:
    """Unit matrices."""
    eye = jnp.broadcast_to(jnp.eye(width, dtype=dtype), (rows, width, width))
    return Graded(eye, jnp.zeros((rows, width), jnp.int32), eye)


class _Columns(NamedTuple):
    """Columns 2^exponent c of a matrix; noise: what of c may be rounding alone; r: rows of R, in the same order."""

    c: Float[jax.Array, "B n n"]
    exponent: Int[jax.Array, "B n"]
    noise: Float[jax.Array, "B n"]
    r: Float[jax.Array, "B n n"]


def multiply(matrix: Float[jax.Array, "B n n"], product: Graded) -> Graded:
    """`matrix @ product`."""
    columns, shift = normalize(_transpose(matrix @ product.q), jnp.zeros_like(product.exponent))
    size = jnp.linalg.norm(jnp.abs(matrix) @ jnp.abs(product.q), axis=-2)
    noise = NOISE * jnp.finfo(matrix.dtype).eps * times(times(size, -(shift // 2)), shift // 2 - shift)
    exponent = jnp.maximum(product.exponent + shift, LOWEST)
    parts = _sort(_level(columns, exponent), _Columns(columns, exponent, noise, product.r))
    q, u, seen = _factor(parts)
    # A column that is a sum of others adds to their rows, and then goes last, where it is nothing.
    hidden = ~seen & (parts.exponent > LOWEST // 2)

    def again() -> tuple[_Columns, tuple[jax.Array, ...]]:
        moved = _sort(jnp.where(seen, 1.0, 0.0), parts)
        return moved, _factor(moved)

    parts, (q, u, seen) = lax.cond(jnp.any(hidden), again, lambda: (parts, (q, u, seen)))
    weights = times(u, _differences(parts.exponent))
    rows, exponent = normalize(jnp.where(seen[..., None], weights @ parts.r, 0), parts.exponent)
    return Graded(q, exponent, rows)


def log_singular_values(product: Graded) -> Float[jax.Array, "B n"]:
    """Their natural logarithms, from the largest to the smallest; -inf for zero."""
    width = product.exponent.shape[-1]
    order = jnp.argsort(-_level(product.r, product.exponent), axis=-1)
    rows, exponent = (_take(a, order) for a in (product.r, product.exponent))
    # diag(2^e) R = diag(2^e) U' Q' with R' = Q' U: columns of the lower triangle on the left are almost orthogonal.
    columns = times(jnp.linalg.qr(_transpose(rows))[1], _differences(exponent))
    odd = width % 2
    columns = jnp.pad(columns, ((0, 0), (0, odd), (0, 0)))
    exponent = jnp.pad(exponent, ((0, 0), (0, odd)), constant_values=LOWEST)
    columns, exponent = _orthogonalize(columns, exponent)
    logs = jnp.log(jnp.linalg.norm(columns, axis=-1)) + exponent * math.log(2)
    return -jnp.sort(-logs, axis=-1)[:, :width]


def _level(columns: Float[jax.Array, "B n n"], exponent: Int[jax.Array, "B n"]) -> Float[jax.Array, "B n"]:
    """About the binary logarithm of the norm of each column."""
    return exponent + jnp.log2(jnp.linalg.norm(columns, axis=-1))


def _sort(level: Float[jax.Array, "B n"], parts: _Columns) -> _Columns:
    """Columns from the highest level to the lowest."""
    order = jnp.argsort(-level, axis=-1)
    return _Columns(*(_take(part, order) for part in parts))


def _take(part: jax.Array, order: Int[jax.Array, "B n"]) -> jax.Array:
    return jnp.take_along_axis(part, order.reshape(order.shape + (1,) * (part.ndim - 2)), axis=1)


def _transpose(matrix: Float[jax.Array, "B n n"]) -> Float[jax.Array, "B n n"]:
    return jnp.swapaxes(matrix, -1, -2)


def _differences(exponent: Int[jax.Array, "B n"]) -> Int[jax.Array, "B n n"]:
    """e_j - e_i; where an order by level holds, none is far above 0 but for rows that are nothing."""
    return jnp.minimum(exponent[:, None, :] - exponent[:, :, None], 60)


def _factor(parts: _Columns) -> tuple[jax.Array, jax.Array, Bool[jax.Array, "B n"]]:
    """Q and U of the columns, and which of them are seen above the noise."""
    q, u = jnp.linalg.qr(_transpose(parts.c))
    diagonal = jnp.abs(jnp.diagonal(u, axis1=-2, axis2=-1))
    return q, u, (diagonal > parts.noise) & (parts.exponent > LOWEST // 2)


class _Pairs(NamedTuple):
    """Columns 2^ep p and their partners 2^eq q, and how they are to be turned.

    Both t and swap are part of a loop's state, so that they are computed once. Computed in two places, as a compiler
    may do, they can differ where a product of columns is rounding alone, and what they do is then no rotation.
    """

    p: Float[jax.Array, "B half n"]
    ep: Int[jax.Array, "B half"]
    q: Float[jax.Array, "B half n"]
    eq: Int[jax.Array, "B half"]
    t: Float[jax.Array, "B half"]
    swap: Bool[jax.Array, "B half"]


_State = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _orthogonalize(
    columns: Float[jax.Array, "B n n"], exponent: Int[jax.Array, "B n"]
) -> tuple[Float[jax.Array, "B n n"], Int[jax.Array, "B n"]]:
    """Rotate pairs of an even number of columns until all are orthogonal."""

    def sweep(state: _State) -> _State:
        columns, exponent = normalize(*state[:2])
        half = exponent.shape[1] // 2
        rounds = max(2, 2 * half - 1)  # a loop of one round would be none to the compiler
        pairs = _find_turns(columns[:, :half], exponent[:, :half], columns[:, half:], exponent[:, half:])
        pairs, turned = lax.scan(lambda pairs, _: (_rotate(pairs), jnp.any(pairs.t != 0)), pairs, None, length=rounds)
        columns, exponent = (jnp.concatenate(both, axis=1) for both in (pairs[:4:2], pairs[1:4:2]))
        return columns, exponent, jnp.any(turned), state[3] + 1

    unfinished = lambda state: state[2] & (state[3] < SWEEPS)
    return lax.while_loop(unfinished, sweep, (columns, exponent, jnp.array(True), jnp.array(0)))[:2]


def _find_turns(p: jax.Array, ep: jax.Array, q: jax.Array, eq: jax.Array) -> _Pairs:
    """The turns that make columns orthogonal to their partners; t = 0 where they are.

    With |2^ep p| >= |2^eq q|, or swapped, and s = 2^(eq - ep): tan(angle) = s t,
        t = 2 p.q / (|p|^2 - |s q|^2 + sqrt((|p|^2 - |s q|^2)^2 + (2 s p.q)^2)).
    """
    swap = _level(q, eq) > _level(p, ep)
    s = _ratio(ep, eq, swap, p.dtype)
    pp, qq, pq = (jnp.sum(a * b, axis=-1) for a, b in ((p, p), (q, q), (p, q)))
    tolerance = 4 * math.sqrt(p.shape[-1]) * jnp.finfo(p.dtype).eps
    turn = jnp.abs(pq) > tolerance * jnp.sqrt(pp) * jnp.sqrt(qq)
    gap = jnp.maximum(jnp.where(swap, qq - pp * s * s, pp - qq * s * s), 0)
    t = jnp.where(turn, 2 * pq / jnp.where(turn, gap + jnp.hypot(gap, 2 * s * pq), 1), 0)
    return _Pairs(p, ep, q, eq, t, swap)


def _ratio(ep: jax.Array, eq: jax.Array, swap: jax.Array, dtype: DTypeLike) -> Float[jax.Array, "B half"]:
    """s, the smaller scale over the larger."""
    return times(jnp.ones(ep.shape, dtype), jnp.where(swap, ep - eq, eq - ep))


def _rotate(pairs: _Pairs) -> _Pairs:
    """q <- cos (q - t p) and p <- cos (p + s^2 t q), or swapped; then every column gets another partner."""
    p, ep, q, eq, t, swap = pairs
    s = _ratio(ep, eq, swap, p.dtype)
    cos, down, up = (a[..., None] for a in (lax.rsqrt(1 + (s * t) ** 2), -t, s * s * t))
    for_p, for_q = select(swap, (down, up), (up, down))
    p, q = cos * (p + for_p * q), cos * (q + for_q * p)
    if p.shape[1] > 1:
        p, q = _next_partners(p, q)
        ep, eq = _next_partners(ep, eq)
    return _find_turns(p, ep, q, eq)


def _next_partners(p: jax.Array, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The round robin: the first stays, the others move on by one, and all have met all after n - 1 rounds."""
    return jnp.concatenate([p[:, :1], q[:, :1], p[:, 1:-1]], axis=1), jnp.concatenate([q[:, 1:], p[:, -1:]], axis=1)
