"""An affine map of each step."""

import dataclasses

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, DTypeLike, Float, Key, Params
from seqjax._internal.validation import check_counts, check_init
from seqjax.core import gating
from seqjax.initializers import Initializer, check_initializer, glorot
from seqjax.layers.pointwise import Pointwise


class Dense(Pointwise):
    """Affine map and activation,  y = a(x W + b).

    Args:
        features: F.
        activation: a, by name.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.Dense(2, activation="relu")
        >>> params = {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)}
        >>> sj.scan(cell, params, jnp.array([[3.0], [-4.0]]))[1].tolist()
        [[3.0, 0.0], [0.0, 4.0]]
    """

    features: int
    _: dataclasses.KW_ONLY
    activation: str = "identity"
    kernel_init: Initializer = glorot()

    def __post_init__(self) -> None:
        check_counts(self, features=1)
        check_initializer("kernel_init", self.kernel_init)
        gating.activation(self.activation)

    @property
    def out_features(self) -> int:
        return self.features

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """kernel `[D, F]`, bias `[F]`."""
        check_init(self, key, in_features, dtype)
        kernel = self.kernel_init(key, (in_features, self.features), dtype)
        return {"kernel": kernel, "bias": jnp.zeros(self.features, dtype)}

    def apply(self, params: Params, x: Float[Array, "*B D"]) -> Float[jax.Array, "*B F"]:
        return gating.activation(self.activation)(gating.linear(params, x))
