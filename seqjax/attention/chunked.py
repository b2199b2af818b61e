"""Attention in blocks of queries and keys, with memory linear in length, forward and backward.

Forward, for each block of queries a loop over blocks of keys keeps a running maximum and sum (Milakov and Gimelshein
2018; Rabe and Staats 2021; Dao et al. 2022). It gives the outputs o_i and l_i, the logarithm of the sum over j of
exp(x_ij), with x the scores. A block in which no pair may attend is left out at run time.

The derivative is stated as a program that is linear in the tangents d., over the same blocks, with m_ij the factors of
dropout and p_ij = exp(x_ij - l_i):

    dl_i = sum_j p_ij dx_ij
    do_i = sum_j m_ij (p_ij dx_ij v_j + p_ij dv_j) - dl_i o_i

Its loops are checkpointed, so that their transpose, which JAX derives, computes p again block by block: the backward
pass of flash attention. As o and l are functions of the same kind, all orders and both modes follow.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from seqjax._internal.types import Pair
from seqjax.attention.blocks import Counts, Grid, Leaves, axes_of, join, number, pad, stack, unnumber
from seqjax.attention.mask import Mask
from seqjax.attention.terms import Terms, kept, scores, weighted, wide_dtype


def block_sizes(queries: int, keys: int) -> Counts:
    """How many queries and keys a block has.

    Wall and CPU time of forward and gradient, causal, heads of 64, float32 (2 cores, jax 0.10.2, 2026-11-24):

        blocks       8,192 tokens, 4 heads   1,024 tokens, 4 heads   512 tokens, 16 rows of 8 heads
        512 x 256    1,144 and 2,194 ms      29 and 53 ms            473 and 878 ms
        512 x 128    1,716 and 2,367 ms      -                       646 and 885 ms
        256 x 256    1,781 and 2,486 ms      36 and 49 ms            547 and 748 ms
        256 x 128    -                       38 and 47 ms            552 and 744 ms
        512 x 512    1,423 and 2,664 ms      33 and 61 ms            -

    XLA multiplies the matrices of a batch one after another, each by all cores where it is large enough. Smaller blocks
    cost less above the diagonal, but leave cores idle. All blocks are equal, so that 600 queries are 2 x 300, not
    2 x 512 of which many are padding.
    """
    return Counts(_divide(queries, 512), _divide(keys, 256))


def _divide(length: int, most: int) -> int:
    """The size of equal blocks, as few as there can be of at most so many."""
    return math.ceil(length / max(1, math.ceil(length / most)))


def chunked(terms: Terms, size: Counts) -> jax.Array:
    """The outputs `[*B, N, T, H]`, by blocks of this size."""
    length, keys = terms.q.shape[-2], terms.k.shape[-2]
    if not length or not keys:
        return jnp.zeros_like(terms.q)
    count = Counts(math.ceil(length / size.queries), math.ceil(keys / size.keys))
    axes, more = axes_of(terms), -keys % count.keys
    if more:
        real = (jnp.arange(keys + more) < keys).reshape((1,) * (terms.q.ndim - 3) + (-1,))
        terms = pad(terms, axes.keys, more)
        terms = terms._replace(mask=(Mask() if terms.mask is None else terms.mask) & Mask(real=real))
        axes = axes_of(terms)
    terms = pad(terms, axes.queries, -length % count.queries)
    return _attend(count, terms)[0][..., :length, :].astype(terms.q.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _attend(count: Counts, terms: Terms) -> Pair:
    """o `[*B, N, T, H]` and l `[*B, N, T]`, in the wide dtype."""
    grid = Grid(number(terms), axes_of(terms), count)

    def queries(_: None, part: Leaves) -> Pair:
        def keys(sums: _Sums, parts: Leaves) -> tuple[_Sums, None]:
            block = unnumber(grid.block(part, parts), terms)
            return _where_needed(block, partial(_add_block, block), lambda sums: sums, sums), None

        sums, _ = lax.scan(keys, _Sums.start(part[0]), grid.keys(part))
        total = jnp.where(sums.total == 0, 1, sums.total)  # of a query that may attend to nothing
        return None, (sums.o / total[..., None], jnp.where(sums.total == 0, 0, sums.highest) + jnp.log(total))

    _, (o, l) = lax.scan(queries, None, grid.queries())
    return join(o, -2), join(l, -1)


class _Sums(NamedTuple):
    """Over the keys so far: the highest score, and sums of exp(score - highest) without and with values."""

    highest: jax.Array  # [*B, N, T]
    total: jax.Array  # [*B, N, T]
    o: jax.Array  # [*B, N, T, H]

    @classmethod
    def start(cls, q: jax.Array) -> "_Sums":
        row, dtype = q.shape[:-1], wide_dtype(q.dtype)
        return cls(jnp.full(row, jnp.finfo(dtype).min, dtype), jnp.zeros(row, dtype), jnp.zeros(q.shape, dtype))


def _add_block(block: Terms, sums: _Sums) -> _Sums:
    s = scores(block)
    highest = jnp.maximum(sums.highest, jnp.max(s, -1))
    e, shrink = jnp.exp(s - highest[..., None]), jnp.exp(sums.highest - highest)
    o = sums.o * shrink[..., None] + weighted(_drop(e, block), block.v)
    return _Sums(highest, sums.total * shrink + jnp.sum(e, -1), o)


@partial(_attend.defjvp, symbolic_zeros=True)
def _attend_jvp(count: Counts, primals: tuple[Terms], tangents: tuple[Any]) -> tuple[Pair, Pair]:
    """The program of the module's docstring."""
    (terms,), axes = primals, axes_of(primals[0])
    o, l = _attend(count, terms)
    is_zero = lambda d: isinstance(d, SymbolicZero)
    moving = {i: d for i, d in enumerate(jax.tree.leaves(tangents[0], is_leaf=is_zero)) if not is_zero(d)}
    grid, dgrid = Grid(number(terms), axes, count), Grid(moving, axes, count)

    @partial(jax.checkpoint, prevent_cse=False)
    def queries(_: None, inputs: Any) -> Pair:
        part, dpart, o, l = inputs

        @partial(jax.checkpoint, prevent_cse=False)
        def keys(dsums: Pair, inputs: tuple[Leaves, Leaves]) -> tuple[Pair, None]:
            leaves, dleaves = grid.block(part, inputs[0]), dgrid.block(dpart, inputs[1])
            add = jax.checkpoint(lambda: _block_tangents(terms, leaves, dleaves, l), prevent_cse=False)
            zeros = lambda: jax.tree.map(jnp.zeros_like, dsums)
            return jax.tree.map(jnp.add, dsums, _where_needed(unnumber(leaves, terms), add, zeros)), None

        zeros = (jnp.zeros(l.shape, l.dtype), jnp.zeros(o.shape, o.dtype))
        (dl, do), _ = lax.scan(keys, zeros, (grid.keys(part), dgrid.keys(dpart)))
        return None, (do - dl[..., None] * o, dl)

    inputs = (grid.queries(), dgrid.queries(), stack(o, -2, count.queries), stack(l, -1, count.queries))
    _, (do, dl) = lax.scan(queries, None, inputs)
    return (o, l), (join(do, -2), join(dl, -1))


def _block_tangents(terms: Terms, leaves: Leaves, dleaves: Leaves, l: jax.Array) -> Pair:
    """The summands of dl and of do + dl o."""
    of_scores = lambda moving: scores(unnumber(leaves | moving, terms))
    s, ds = jax.jvp(of_scores, ({i: leaves[i] for i in dleaves},), (dleaves,))
    block, dv = unnumber(leaves, terms), dleaves.get(2)
    p = jnp.exp(s - l[..., None])
    dw = p * ds
    do = weighted(_drop(dw, block), block.v)
    return jnp.sum(dw, -1), do if dv is None else do + weighted(_drop(p, block), dv)


def _drop(weights: jax.Array, block: Terms) -> jax.Array:
    factors = kept(block)
    return weights if factors is None else weights * factors.astype(weights.dtype)


def _where_needed(block: Terms, on_true: Any, on_false: Any, *operands: Any) -> Any:
    """Of two functions the first, if any pair of the block may attend; otherwise the second, which costs nothing."""
    needed = None if block.mask is None else block.mask.may_attend(block.q_positions, block.k_positions)
    return on_true(*operands) if needed is None else lax.cond(needed, on_true, on_false, *operands)
