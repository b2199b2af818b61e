"""An affine map of each step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.validation import check_init, check_positive
from seqjax.core import gating
from seqjax.core.cell import Params
from seqjax.initializers import Initializer, check_initializer, glorot
from seqjax.layers.pointwise import Pointwise


class Dense(Pointwise):
    """Affine map and activation,  y = a(x W + b).

    Args:
        features: F.
        activation: a, by name; "identity" unless told otherwise.
    """

    features: int
    _: dataclasses.KW_ONLY
    activation: str = "identity"
    kernel_init: Initializer = glorot()

    def __post_init__(self) -> None:
        check_positive(self, "features")
        check_initializer("kernel_init", self.kernel_init)
        gating.activation(self.activation)

    @property
    def out_features(self) -> int:
        """F."""
        return self.features

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """kernel `[D, F]`, bias `[F]`."""
        check_init(self, key, in_features, dtype)
        kernel = self.kernel_init(key, (in_features, self.features), dtype)
        return {"kernel": kernel, "bias": jnp.zeros(self.features, dtype)}

    def apply(self, params: Params, x: jax.Array) -> jax.Array:
        """The equation."""
        return gating.activation(self.activation)(gating.linear(params, x))
