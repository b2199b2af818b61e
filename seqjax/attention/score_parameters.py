"""Parameters of scores, by name, and keys projected once for all steps of a decoder."""

import math

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, DTypeLike, Float, Key, Params, Shape
from seqjax._internal.validation import check_dtype, check_key, whole_number
from seqjax.attention._score_checks import check_last, check_parts
from seqjax.errors import ArgumentError, closest
from seqjax.initializers import glorot

KERNELS = {
    "additive": ("query", "keys"), "dot": (), "general": ("kernel",), "concat": ("kernel",),
    "location": ("query", "keys", "location", "filter"), "monotonic": ("query", "keys"),
}  # fmt: skip
"""The matrices of each score."""


def init_score(
    score: str,
    key: Key[jax.Array, ""],
    query_features: int,
    key_features: int,
    features: int | None = None,
    *,
    filters: int = 10,
    width: int = 31,
    dtype: DTypeLike = jnp.float32,
) -> Params:
    """Parameters of a score: Glorot matrices, and what the papers say of the rest.

    Args:
        score: "additive", "concat", "dot" (it has none), "general", "location" or "monotonic", which is additive with
            scale 1/sqrt(F), bias 0 and offset -1 (Raffel et al. 2017: one goes on at first).
        query_features, key_features: D and E.
        features: F, the hidden features; by default D.
        filters, width: C and R, of "location" alone.

    Raises:
        ArgumentError, ArgumentTypeError: an unknown score, sizes that are no whole numbers above 0, an even width, D
            and E that differ for "dot".

        >>> import jax
        >>> from seqjax import attention
        >>> params = attention.init_score("additive", jax.random.key(0), 2, 3, 4)
        >>> {name: p.shape for name, p in params.items()}
        {'query': (2, 4), 'keys': (3, 4), 'v': (4,)}
    """
    _check_score(score)
    check_key(score, key)
    check_dtype(score, dtype)
    sizes = {"query_features": query_features, "key_features": key_features, "filters": filters, "width": width}
    sizes["features"] = query_features if features is None else features
    for name, size in sizes.items():
        whole_number(name, size, 1)
    if score == "dot" and query_features != key_features:
        raise ArgumentError(f"dot needs as many features of queries as of keys, found {query_features}, {key_features}")
    if width % 2 == 0:
        raise ArgumentError(f"width must be odd, as filters are centred on a key, found {width}")
    hidden = sizes["features"]
    shapes = _shapes(score, query_features, key_features, hidden)
    shapes |= {"location": (filters, hidden), "filter": (width, filters)}
    names = KERNELS[score]
    params = {name: glorot()(jax.random.fold_in(key, i), shapes[name], dtype) for i, name in enumerate(names)}
    return params | _rest(score, jax.random.fold_in(key, len(names)), hidden, dtype)


def _shapes(score: str, query_features: int, key_features: int, hidden: int) -> dict[str, Shape]:
    whole = (query_features, key_features) if score == "general" else (query_features + key_features, hidden)
    return {"query": (query_features, hidden), "keys": (key_features, hidden), "kernel": whole}


def _rest(score: str, key: Key[jax.Array, ""], hidden: int, dtype: DTypeLike) -> Params:
    """Vectors and numbers."""
    if score in ("dot", "general"):
        return {}
    rest = {"v": glorot()(key, (hidden, 1), dtype)[:, 0]}
    if score in ("location", "monotonic"):
        rest["bias"] = jnp.zeros(hidden, dtype)
    if score == "monotonic":
        rest |= {"scale": jnp.array(1 / math.sqrt(hidden), dtype), "offset": jnp.array(-1.0, dtype)}
    return rest


def project_keys(score: str, params: Params, keys: Float[Array, "*B S E"]) -> Float[jax.Array, "*B S F"]:
    """What a score computes of the keys alone, for all steps at once; hand it on with projected=True.

    Args:
        score: as in `init_score`. Keys of "dot" stay what they are.

    Raises:
        ArgumentError: an unknown score, parameters of another one, keys that do not fit.

        >>> import jax, jax.numpy as jnp
        >>> from seqjax import attention
        >>> params = attention.init_score("additive", jax.random.key(0), 2, 3, 4)
        >>> keys = attention.project_keys("additive", params, jnp.ones((5, 3)))
        >>> attention.additive(params, jnp.ones(2), keys, projected=True).shape
        (5,)
    """
    _check_score(score)
    if score == "dot":
        return jnp.asarray(keys)
    name = "kernel" if score in ("general", "concat") else "keys"
    check_parts(score, params, (name,))
    kernel = jnp.asarray(params[name])
    if score == "general":
        kernel = kernel.T
    if score == "concat":
        if keys.shape[-1] >= kernel.shape[0]:
            raise ArgumentError(
                f"keys must have fewer features than the kernel {kernel.shape} has rows, found {keys.shape}"
            )
        kernel = kernel[kernel.shape[0] - keys.shape[-1] :]
    check_last("keys", keys, kernel.shape[0], "as the kernel says")
    return jnp.einsum("...se,ef->...sf", keys, kernel)


def _check_score(score: object) -> None:
    if not isinstance(score, str) or score not in KERNELS:
        raise ArgumentError(f"there is no score {score!r}.{closest(str(score), KERNELS)}")
