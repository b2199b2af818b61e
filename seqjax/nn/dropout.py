"""Dropout with keys that are passed: one for each token, so that neither chunks nor padding change a draw."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Float, Key, Shape
from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError, ArgumentTypeError


@runtime_checkable
class Dropping(Protocol):
    """A module with a rate of dropout, which `module.eval()` switches off (`deterministic`)."""

    dropout: float
    deterministic: bool


def is_random(module: Dropping) -> bool:
    """Whether a call of the module draws random numbers."""
    return module.dropout > 0 and not module.deterministic


def check_rate(owner: str, rate: object) -> float:
    """The rate as a float; refuse what is not in [0, 1)."""
    number = real_number(f"{owner}: dropout", rate)
    if not 0 <= number < 1:
        raise ArgumentError(f"{owner}: dropout must be in [0, 1), found {rate!r}")
    return number


def token_keys(module: Dropping, key: Key[Array, "..."] | None, shape: Shape) -> Key[jax.Array, "*B T"] | None:
    """A key for each token `[*B, T]`, from one key or from so many; None where nothing is dropped.

    Raises:
        ArgumentError: something is dropped, but there is no key; keys of another shape.
        ArgumentTypeError: no keys of `jax.random.key`.
    """
    owner = type(module).__name__
    if key is not None and not (hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)):
        raise ArgumentTypeError(f"{owner}: key must be a key such as jax.random.key(0), found {key!r}")
    if not is_random(module):
        return None
    if key is None:
        raise ArgumentError(
            f"{owner} drops with rate {module.dropout:g}, for which it needs a key: pass key=jax.random.key(0), "
            "another one for each call, or call module.eval() before you evaluate"
        )
    if key.shape not in ((), shape):
        raise ArgumentError(f"{owner}: key must be one key, or one for each token, {shape}; found {key.shape}")
    return jax.random.split(key, shape) if key.shape == () else jnp.asarray(key)


def fold_keys(keys: Key[Array, "..."] | None, number: int | jax.Array) -> Key[jax.Array, "..."] | None:
    """`jax.random.fold_in` for each key: that of a site or of a layer."""
    if keys is None:
        return None
    folded = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys.reshape(-1))
    return folded.reshape(keys.shape)


def drop(x: Float[jax.Array, "*B T D"], rate: float, keys: Key[Array, "*B T"] | None) -> Float[jax.Array, "*B T D"]:
    """Zero each feature with probability `rate`, divide the rest by 1 - rate; x itself without keys."""
    if keys is None:
        return x

    def keep(key: Key[jax.Array, ""]) -> Bool[jax.Array, " D"]:
        return jax.random.bernoulli(key, 1 - rate, x.shape[-1:])

    kept = jax.vmap(keep)(jnp.asarray(keys).reshape(-1)).reshape(x.shape)
    return jnp.where(kept, x / (1 - rate), jnp.zeros_like(x))
