"""All scores at once: `T x S` in memory, and the fastest for short sequences and single queries."""

import jax
import jax.numpy as jnp

from seqjax.attention.terms import Terms, kept, scores, weighted


def plain(terms: Terms) -> tuple[jax.Array, jax.Array]:
    """The outputs `[*B, N, T, H]` and the weights `[*B, N, T, S]` before dropout."""
    weights = softmax(scores(terms))
    factors = kept(terms)
    used = weights if factors is None else weights * factors.astype(weights.dtype)
    return weighted(used, terms.v).astype(terms.q.dtype), weights


@jax.custom_jvp
def softmax(s: jax.Array) -> jax.Array:
    """Over the last axis; a row of -inf alone becomes zeros, with all derivatives zero."""
    highest = jnp.max(s, -1, keepdims=True, initial=jnp.finfo(s.dtype).min)
    e = jnp.exp(s - highest)
    total = jnp.sum(e, -1, keepdims=True)
    return e / jnp.where(total == 0, 1, total)


@softmax.defjvp
def _softmax_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Of all arrays of the size of the scores, the backward pass keeps the weights alone."""
    w, (ds,) = softmax(*primals), tangents
    weighted_ds = w * ds
    return w, weighted_ds - w * jnp.sum(weighted_ds, -1, keepdims=True)
