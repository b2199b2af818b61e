"""Normalisation of each step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import out_dtype
from seqjax._internal.validation import check_init
from seqjax.core.cell import Params
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
    """

    kind: str = "layer"
    _: dataclasses.KW_ONLY
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if self.kind not in ("layer", "rms"):
            raise ArgumentError(f"Norm: kind must be 'layer' or 'rms', found {self.kind!r}")

    @property
    def out_features(self) -> None:
        """As many as come in."""
        return None

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """scale `[D]`, ones, and for layer bias `[D]`, zeros."""
        check_init(self, key, in_features, dtype)
        params = {"scale": jnp.ones(in_features, dtype)}
        if self.kind == "layer":
            params["bias"] = jnp.zeros(in_features, dtype)
        return params

    def apply(self, params: Params, x: jax.Array) -> jax.Array:
        """The equations."""
        dtype = out_dtype(params, x)
        x = x.astype(jnp.promote_types(dtype, jnp.float32))
        if self.kind == "layer":
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        y = x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + self.epsilon)
        y = y * jnp.broadcast_to(params["scale"], y.shape)
        if self.kind == "layer":
            y = y + jnp.broadcast_to(params["bias"], y.shape)
        return y.astype(dtype)
