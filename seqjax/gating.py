"""The two helpers that cells are written with: an affine map, and gates activated in one pass."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.errors import ArgumentError, closest

ACTIVATIONS = {
    "tanh": jnp.tanh,
    "identity": lambda x: x,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_tanh": jax.nn.hard_tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "selu": jax.nn.selu,
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "softplus": jax.nn.softplus,
    "softsign": jax.nn.soft_sign,
}


def activation(name: str) -> Any:
    """The activation function called `name`.

    Raises:
        ArgumentError: there is none of this name.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ArgumentError(f"activation {name!r} is not known.{closest(str(name), ACTIVATIONS)}")
    return ACTIVATIONS[name]


def linear(p: Any, x: jax.Array, keep: bool = False) -> jax.Array:
    """x W + b, with W `[D, F]` = p["kernel"] and b `[F]` = p["bias"] if there is one; x `[B, D]`.

    The dtype is the promotion of x and W. `keep` is for recurrent maps: the product runs in the dtype of W
    and is accumulated in that of x, so that bfloat16 weights meet a float32 carry at bfloat16 speed.
    """
    kernel = p["kernel"]
    dtype = x.dtype if keep else jnp.promote_types(x.dtype, kernel.dtype)
    inner = kernel.dtype if keep else dtype
    y = jnp.matmul(x.astype(inner), kernel.astype(inner), preferred_element_type=dtype)
    if "bias" in p:
        y = y + jnp.broadcast_to(p["bias"].astype(dtype), y.shape)
    return y


def gates(z: jax.Array, names: str) -> list[jax.Array]:
    """Split z `[B, G F]` into its G gates and activate each: `gates(z + m, "sigmoid sigmoid tanh sigmoid")`.

    Sigmoids and tanhs share one contiguous pass, sigmoid(x) = tanh(x / 2) / 2 + 1/2, whose derivative needs
    its output alone. (XLA:CPU's own logistic is several times slower than its tanh.)
    """
    kinds = names.split()
    if not set(kinds) <= {"sigmoid", "tanh"}:
        return [activation(kind)(part) for kind, part in zip(kinds, parts(z, len(kinds)))]
    if set(kinds) == {"tanh"}:
        active = jnp.tanh(z)
    else:
        is_sigmoid = np.repeat([kind == "sigmoid" for kind in kinds], z.shape[-1] // len(kinds))
        scale = jnp.broadcast_to(jnp.asarray(np.where(is_sigmoid, 0.5, 1.0), z.dtype), z.shape)
        offset = jnp.broadcast_to(jnp.asarray(np.where(is_sigmoid, 0.5, 0.0), z.dtype), z.shape)
        active = jnp.tanh(z * scale) * scale + offset
    # Without the barrier XLA computes the gates again inside each of their consumers.
    return parts(jax.lax.optimization_barrier(active), len(kinds))


def parts(z: jax.Array, count: int) -> list[jax.Array]:
    """Cut the last axis into `count` equal parts."""
    return jnp.split(z, count, axis=-1)
