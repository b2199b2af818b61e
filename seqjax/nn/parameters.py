"""The parameters of modules, and the linear maps and norms that hold them.

All are `nnx.Param` whose metadata `out_sharding` names their axes: "features", "heads", "hidden", "vocabulary", ...
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from seqjax._internal.types import Array, Float, Shape
from seqjax.nn.style import Style

Names = tuple[str | None, ...]


def make_param(value: jax.Array, names: Names) -> nnx.Param:
    """A parameter with a name for each axis; no mesh need be there when it is made."""
    return nnx.Param(value, out_sharding=names, eager_sharding=False)


def draw_param(rngs: nnx.Rngs, shape: Shape, std: float, names: Names) -> nnx.Param:
    """A Gaussian one."""
    return make_param(std * jax.random.normal(rngs.params(), shape), names)


class Linear(nnx.Module):
    """y = x W + b over the last axes of x, which W takes to any axes: kernel `[*inside, *outside]`, bias `[*outside]`.

    Kernels begin Gaussian with deviation gain / sqrt(fan in), biases with 0.
    """

    def __init__(
        self, inside: dict[str, int], outside: dict[str, int], *, bias: bool = True, gain: float = 1.0, rngs: nnx.Rngs
    ) -> None:
        self.axes = len(inside)
        fan_in = math.prod(inside.values())
        shape = (*inside.values(), *outside.values())
        self.kernel = draw_param(rngs, shape, gain * fan_in**-0.5, (*inside, *outside))
        self.bias = make_param(jnp.zeros(tuple(outside.values())), tuple(outside)) if bias else None

    def __call__(self, x: Float[Array, "..."]) -> Float[jax.Array, "..."]:
        """The map, in the promoted dtype of x and the kernel."""
        y = jnp.tensordot(jnp.asarray(x), self.kernel[...], self.axes)
        return y if self.bias is None else y + jnp.broadcast_to(self.bias[...], y.shape)


class Norm(nnx.Module):
    """Layer norm or RMS norm of the last axis, as `style` says: scale `[D]`, and bias `[D]` of a layer norm.

    Means are taken in float32 or wider.
    """

    def __init__(self, features: int, *, style: Style) -> None:
        self.centred, self.epsilon = style.norm == "layer", style.epsilon
        self.scale = make_param(jnp.ones(features), ("features",))
        self.bias = make_param(jnp.zeros(features), ("features",)) if self.centred and style.bias else None

    def __call__(self, x: Float[Array, "*B D"]) -> Float[jax.Array, "*B D"]:
        """The norm, in the promoted dtype of x and the scale."""
        dtype = jnp.promote_types(x.dtype, self.scale.dtype)
        wide = jnp.asarray(x, jnp.promote_types(dtype, jnp.float32))
        if self.centred:
            wide = wide - jnp.mean(wide, axis=-1, keepdims=True)
        y = wide * lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + self.epsilon)
        y = y * jnp.broadcast_to(self.scale[...], y.shape)
        if self.bias is not None:
            y = y + jnp.broadcast_to(self.bias[...], y.shape)
        return y.astype(dtype)
