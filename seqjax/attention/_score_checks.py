"""What is refused of queries, keys and parameters of scores."""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Params
from seqjax.errors import ArgumentError, ArgumentTypeError


def check_parts(score: str, params: Params, names: tuple[str, ...]) -> None:
    """Refuse parameters of another score."""
    if not isinstance(params, dict) or not set(names) <= params.keys():
        found = ", ".join(map(str, params)) if isinstance(params, dict) else type(params).__name__
        raise ArgumentError(
            f"the parameters of {score} are {', '.join(names)}, found {found}. init_score({score!r}, ...) makes them"
        )


def check_vectors(query: Array, keys: Array) -> tuple[jax.Array, jax.Array]:
    """Both, floating point and with the same batch axes."""
    for name, array in (("query", query), ("keys", keys)):
        dtype = getattr(array, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            raise ArgumentTypeError(f"{name} must be a floating point array, found {dtype or type(array).__name__}")
    if query.ndim < 1 or keys.ndim != query.ndim + 1 or keys.shape[:-2] != query.shape[:-1]:
        raise ArgumentError(
            f"query must be [*B, D] and keys [*B, S, E] with the same batch axes, found {query.shape} and {keys.shape}"
            ". Batch comes first, and a query has no time axis"
        )
    return jnp.asarray(query), jnp.asarray(keys)


def check_last(name: str, array: Array, features: int, why: str) -> None:
    """Refuse another number of features."""
    if array.shape[-1] != features:
        raise ArgumentError(f"{name} must have {features} features, {why}, found the shape {array.shape}")


def check_flags(name: str, array: Any, keys: Array, kind: Any) -> None:
    """Refuse what is not one number, or one bool, for each key."""
    dtype = getattr(array, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, kind):
        wanted = "bool, True = there is a key" if kind is jnp.bool_ else "floating point"
        raise ArgumentTypeError(f"{name} must be an array of {wanted}, found {dtype or type(array).__name__}")
    if array.shape != keys.shape[:-1]:
        raise ArgumentError(f"{name} must have the shape {keys.shape[:-1]}, one for each key, found {array.shape}")
