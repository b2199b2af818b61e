"""Normalisation of each step."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, DTypeLike, Float, Key, Params
from seqjax._internal.validation import check_init
from seqjax.errors import ArgumentError
from seqjax.layers.pointwise import Pointwise


class Norm(Pointwise):
    """Normalise each step's features, then scale.

        layer:  y = (x - mean x) / sqrt(var x + epsilon) * s + b      (Ba, Kiros, Hinton 2016)
        rms:    y = x / sqrt(mean x^2 + epsilon) * s                  (Zhang and Sennrich 2019)

    Means are taken in float32 or wider.

    Args:
        kind: "layer" or "rms".
        epsilon: keeps the division finite.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> xs = jnp.array([[3.0, 4.0], [30.0, 40.0]])
        >>> for kind in ("layer", "rms"):
        ...     cell = sj.Norm(kind)
        ...     ys = sj.scan(cell, cell.init(jax.random.key(0), 2), xs)[1]
        ...     print([[round(float(value), 2) for value in y] for y in ys])
        [[-1.0, 1.0], [-1.0, 1.0]]
        [[0.85, 1.13], [0.85, 1.13]]
    """

    kind: str = "layer"
    _: dataclasses.KW_ONLY
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if self.kind not in ("layer", "rms"):
            raise ArgumentError(f"Norm: kind must be 'layer' or 'rms', found {self.kind!r}")

    @property
    def out_features(self) -> None:
        return None

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """scale `[D]`, ones, and for layer bias `[D]`, zeros."""
        check_init(self, key, in_features, dtype)
        params = {"scale": jnp.ones(in_features, dtype)}
        if self.kind == "layer":
            params["bias"] = jnp.zeros(in_features, dtype)
        return params

    def apply(self, params: Params, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        dtype = out_dtype(params, x)
        x = x.astype(jnp.promote_types(dtype, jnp.float32))
        if self.kind == "layer":
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        y = x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + self.epsilon)
        y = y * jnp.broadcast_to(params["scale"], y.shape)
        if self.kind == "layer":
            y = y + jnp.broadcast_to(params["bias"], y.shape)
        return y.astype(dtype)
