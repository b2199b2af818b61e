"""The arithmetic of a search with beams, in arrays of fixed shapes.

Axes: any batch axes `*B`, K hypotheses that go on, N that have ended (best first), M candidates, V vocabulary. A total
or a score of -inf says that there is nothing in that place.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, DTypeLike, Float, Int, Shape, Shaped


class Candidates(NamedTuple):
    """Hypotheses one token longer, best first: totals, the place of each one's parent, its new token.

    `log_probs` is what the model itself gives the new token.
    """

    totals: Float[jax.Array, "*B M"]
    parents: Int[jax.Array, "*B M"]
    tokens: Int[jax.Array, "*B M"]
    log_probs: Float[jax.Array, "*B M"]


class Ended(NamedTuple):
    """Hypotheses that have ended, best score first: the place of each one's parent, its last token, the step of that.

    `log_probs` is what the model itself gives the last token.
    """

    scores: Float[jax.Array, "*B N"]
    parents: Int[jax.Array, "*B N"]
    tokens: Int[jax.Array, "*B N"]
    log_probs: Float[jax.Array, "*B N"]
    steps: Int[jax.Array, "*B N"]


def none_ended(batch: Shape, count: int, dtype: DTypeLike) -> Ended:
    """Room for so many, and nothing in it."""
    score, number = jnp.full((*batch, count), -jnp.inf, dtype), jnp.zeros((*batch, count), jnp.int32)
    return Ended(score, number, number, jnp.zeros_like(score), number - 1)


def one_live(batch: Shape, width: int, dtype: DTypeLike) -> Float[jax.Array, "*B K"]:
    """Totals at the start: all hypotheses would be the same empty one, so only the first is there."""
    return jnp.broadcast_to(jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf).astype(dtype), (*batch, width))


def take(values: Shaped[Array, "..."], places: Int[Array, "*B M"]) -> Shaped[jax.Array, "..."]:
    """`values[*B, places, ...]` of `[*B, K, ...]`."""
    index = jnp.reshape(places, (*places.shape, *(1,) * (values.ndim - places.ndim)))
    return jnp.take_along_axis(jnp.asarray(values), index, axis=places.ndim - 1)


def add(live: Float[Array, "*B K"], log_probs: Float[Array, "*B K V"]) -> Float[jax.Array, "*B K V"]:
    """The totals of all continuations; what stands in places without a hypothesis is -inf whatever the model says."""
    there = jnp.expand_dims(live > -jnp.inf, -1)
    return jnp.where(there, jnp.expand_dims(live, -1) + log_probs, -jnp.inf)


def best(
    ranks: Float[Array, "*B K V"], totals: Float[Array, "*B K V"], log_probs: Float[Array, "*B K V"], count: int
) -> Candidates:
    """The `count` continuations with the highest ranks (all, where there are fewer); of equals the first."""
    flat = lambda table: jnp.reshape(table, (*table.shape[:-2], table.shape[-2] * table.shape[-1]))
    vocabulary = ranks.shape[-1]
    ranked, at = jax.lax.top_k(flat(ranks), min(count, ranks.shape[-2] * vocabulary))
    at = at.astype(jnp.int32)
    picked = jnp.where(ranked > -jnp.inf, take(flat(totals), at), -jnp.inf)
    return Candidates(picked, at // vocabulary, at % vocabulary, take(flat(log_probs), at))


def go_on(candidates: Candidates, ends: Bool[Array, "*B M"], width: int) -> Candidates:
    """The first `width` that do not end; places are left empty where there are fewer."""
    totals = jnp.where(ends, -jnp.inf, candidates.totals)
    order = jnp.argsort(totals == -jnp.inf, axis=-1, stable=True)[..., :width]
    kept = Candidates(*(take(part, order) for part in candidates._replace(totals=totals)))
    missing = [(0, 0)] * (order.ndim - 1) + [(0, width - order.shape[-1])]
    padded = Candidates(*(jnp.pad(part, missing) for part in kept))
    return padded._replace(totals=jnp.pad(kept.totals, missing, constant_values=-jnp.inf))


def merge(ended: Ended, candidates: Candidates, scores: Float[Array, "*B M"], step: Int[Array, ""]) -> Ended:
    """The best of those that had ended and of the candidates, whose scores are -inf where they have not ended."""
    steps = jnp.where(scores > -jnp.inf, step, -1).astype(jnp.int32)
    new = Ended(jnp.asarray(scores), candidates.parents, candidates.tokens, candidates.log_probs, steps)
    joined = Ended(*(jnp.concatenate(parts, axis=-1) for parts in zip(ended, new)))
    at = jax.lax.top_k(joined.scores, ended.scores.shape[-1])[1]
    return Ended(*(take(part, at) for part in joined))


def is_full(ended: Ended) -> Bool[jax.Array, "*B"]:
    """Whether all places are taken."""
    return jnp.all(ended.scores > -jnp.inf, axis=-1)
