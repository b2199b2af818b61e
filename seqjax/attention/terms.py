"""The terms of one attention, its arguments after all checks: what backends, blocks and derivatives have in common."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array
from seqjax.attention.bias import Bias
from seqjax.attention.dropout import Dropout
from seqjax.attention.mask import Mask
from seqjax.attention.shapes import fit


class Terms(NamedTuple):
    """Arrays of one dtype, all with as many batch axes; cut to a block of queries and keys they are terms again."""

    q: jax.Array  # [*B, N, T, H]: with the heads in front no product needs another layout, 0.85 of the time on CPU
    k: jax.Array  # [*B, K, S, H]
    v: jax.Array  # [*B, K, S, H]
    scale: Array  # of the wide dtype
    q_positions: jax.Array  # [*B or 1s, T]
    k_positions: jax.Array  # [*B or 1s, S]
    mask: Mask | None
    bias: Bias | None
    pair_bias: jax.Array | None  # [*B or 1s, N or 1, T or 1, S or 1]
    dropout: Dropout | None


def wide_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """That of scores and sums: float32, or float64 for float64."""
    return jnp.promote_types(dtype, jnp.float32)


def scores(terms: Terms) -> jax.Array:
    """Scaled q.k plus bias, `[*B, N, T, S]` in the wide dtype; -inf where a pair may not attend."""
    q, k, wide = terms.q, terms.k, wide_dtype(terms.q.dtype)
    grouped = q.reshape(*k.shape[:-2], q.shape[-3] // k.shape[-3], *q.shape[-2:])
    s = jnp.einsum("...kgth,...ksh->...kgts", grouped, k, preferred_element_type=wide) * terms.scale
    s = s.reshape(*q.shape[:-1], k.shape[-2])
    if terms.pair_bias is not None:
        s = s + terms.pair_bias.astype(wide)
    if terms.bias is not None:
        scaled = jnp.swapaxes(q.astype(wide) * terms.scale, -3, -2)
        added = terms.bias.scores(scaled, terms.q_positions, terms.k_positions).astype(wide)
        s = s + fit(f"the scores of the bias {type(terms.bias).__name__}", added, s.shape[:-3], s.shape[-3:], free=True)
    flags = None if terms.mask is None else terms.mask.block(terms.q_positions, terms.k_positions)
    return s if flags is None else jnp.where(flags, s, -math.inf)


def weighted(weights: jax.Array, v: jax.Array) -> jax.Array:
    """Sums of values `[*B, K, S, H]` under weights `[*B, N, T, S]`: `[*B, N, T, H]` in the wide dtype."""
    groups = weights.shape[-3] // v.shape[-3]
    grouped = weights.astype(v.dtype).reshape(*v.shape[:-2], groups, *weights.shape[-2:])
    o = jnp.einsum("...kgts,...ksh->...kgth", grouped, v, preferred_element_type=wide_dtype(v.dtype))
    return o.reshape(*weights.shape[:-1], v.shape[-1])


def kept(terms: Terms) -> jax.Array | None:
    """What dropout multiplies the weights by, `[*B, N, T, S]`: 0 or 1 / (1 - rate)."""
    return None if terms.dropout is None else terms.dropout.factors(terms.k_positions, terms.q.shape[-3])
