"""The scores of `attend` by name: their parameters, what they remember, and the weights that come of them.

Axes: `B` batch (any number of axes, also none), `S` steps of the source, `D` features of a query, `E` of the memory.
"""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax import attention
from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, DTypeLike, Float, Key, Params
from seqjax.attention.plain import softmax
from seqjax.attention.terms import wide_dtype
from seqjax.errors import ArgumentError, closest
from seqjax.seq2seq.carry import Source

SCORES = ("additive", "dot", "general", "concat", "location", "coverage", "monotonic", "mean")
READ_PAST = ("location", "coverage", "monotonic")
UNPROJECTED = ("dot", "mean")


def check_score(score: object) -> None:
    """Refuse the name of no score.

    Raises:
        ArgumentError: so it is.
    """
    if score not in SCORES:
        raise ArgumentError(f"attend: there is no score {score!r}.{closest(str(score), SCORES)}")


def init_score(
    score: str, key: Key[jax.Array, ""], query: int, keys: int, features: int | None, dtype: DTypeLike
) -> Params:
    """The parameters of a score for queries and keys of so many features."""
    if score == "mean":
        return {}
    name = "location" if score == "coverage" else score
    sizes = {"filters": 1, "width": 1} if score == "coverage" else {}
    params = attention.init_score(name, key, query, keys, features, dtype=dtype, **sizes)
    if score == "coverage":  # one filter of width 1 is a factor, and L has it already
        del params["filter"]
    return params


def project_keys(score: str, params: Params, values: Float[Array, "*B S E"]) -> Float[jax.Array, "*B S H"] | None:
    """What a score makes of the memory alone, once for all steps; None where it takes the values as they are."""
    if score in UNPROJECTED:
        return None
    return attention.project_keys("location" if score == "coverage" else score, params, values)


def first_past(score: str, params: Params, source: Source) -> Any:
    """What the first step reads of the past, `[*B, S]`; `()` where the score reads nothing of it."""
    if score not in READ_PAST:
        return ()
    dtype = jnp.promote_types(out_dtype(params, ()), jnp.float32)
    past = jnp.zeros_like(source.values[..., 0], dtype=dtype)
    if score == "monotonic" and past.shape[-1]:  # it stands at the first step
        past = past.at[..., 0].set(1)
    return past


def next_past(score: str, past: Any, weights: Float[jax.Array, "*B S"]) -> Any:
    """What the next step reads: the weights, their sum over all steps (coverage), or nothing."""
    if score not in READ_PAST:
        return ()
    return past + weights if score == "coverage" else weights


def find_weights(
    score: str, params: Params, query: Float[Array, "*B D"], source: Source, past: Any
) -> Float[jax.Array, "*B S"]:
    """The weights of a step, in float32 or wider; zeros for a source without real steps."""
    if score == "mean":
        return _equal_weights(source)
    scores = _scores(score, params, query, source, past)
    if score == "monotonic":
        return attention.monotonic(scores, past.astype(scores.dtype), source.mask)
    return softmax(scores if source.mask is None else jnp.where(source.mask, scores, -jnp.inf))


def _scores(
    score: str, params: Params, query: Float[Array, "*B D"], source: Source, past: Any
) -> Float[jax.Array, "*B S"]:
    if score == "dot":
        return attention.dot(query, source.values)
    keys = source.keys
    assert keys is not None
    if score == "coverage":
        params = params | {"filter": jnp.ones((1, 1), params["location"].dtype)}
    if score in ("location", "coverage"):
        return attention.location(params, query, keys, past, projected=True)
    functions = {"general": attention.general, "concat": attention.concat}
    return functions.get(score, attention.additive)(params, query, keys, projected=True)


def _equal_weights(source: Source) -> Float[jax.Array, "*B S"]:
    dtype = wide_dtype(source.values.dtype)
    real = jnp.ones_like(source.values[..., 0], dtype=dtype)
    if source.mask is not None:
        real = jnp.where(source.mask, real, 0)
    return real / jnp.maximum(jnp.sum(real, axis=-1, keepdims=True), 1)
