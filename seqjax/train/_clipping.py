"""The norm of a gradient, and clipping by it, without overflow or underflow."""

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Bool, Float, PyTree


def clip_by_norm(grads: PyTree, clip: float | None) -> tuple[PyTree, Float[Array, ""], Bool[Array, " leaves"]]:
    """g min(1, clip / |g|), with |g| the norm over all leaves (Pascanu et al. 2013).

    The norm is computed in float32, or wider where a leaf is, of gradients divided by a power of two near the largest
    element, so that squares neither overflow nor underflow. A norm beyond the largest float is reported as inf, and
    the clipped gradient is right nevertheless. Elements below the smallest normal float, or as much below the largest
    element, may count as zero.

    Args:
        grads: a pytree of floating point arrays.
        clip: a norm above 0, or None for no clipping.

    Returns:
        The gradient, its norm before clipping, and which leaves are finite, bool `[leaves]`.
    """
    leaves, structure = jax.tree.flatten(grads)
    width = jnp.result_type(jnp.float32, *(leaf.dtype for leaf in leaves))
    largest = jnp.stack([_largest(leaf).astype(width) for leaf in leaves])
    scale = _power_of_two(jnp.max(largest))
    wide = [leaf.astype(width) / scale for leaf in leaves]
    scaled = jnp.sqrt(jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in wide]).sum())
    norm = scaled * scale
    if clip is not None:
        factor = clip / jnp.maximum(scaled, jnp.finfo(width).tiny)
        shortened = [
            jnp.where(norm > clip, small * factor, leaf.astype(width)).astype(leaf.dtype)
            for small, leaf in zip(wide, leaves)
        ]
        grads = jax.tree.unflatten(structure, shortened)
    return grads, norm, jnp.isfinite(largest)


def finite_leaves(tree: PyTree) -> Bool[Array, " leaves"]:
    """Which leaves hold finite numbers alone: bool `[leaves]`."""
    return jnp.stack([jnp.isfinite(_largest(leaf)) for leaf in jax.tree.leaves(tree)])


def _largest(leaf: Float[Array, "..."]) -> Float[Array, ""]:
    """The largest absolute value, NaN where there is one."""
    return jnp.max(jnp.abs(leaf), initial=0)


def _power_of_two(largest: Float[Array, ""]) -> Float[Array, ""]:
    """The power of two in (largest / 2, largest]; 1 where that is no normal number.

    At most 1 / tiny, as its reciprocal must be a normal number too.
    """
    tiny = jnp.finfo(largest.dtype).tiny
    usable = jnp.isfinite(largest) & (largest >= tiny)
    bits = jnp.uint64 if largest.dtype == jnp.float64 else jnp.uint32
    exponent = lax.bitcast_convert_type(jnp.asarray(jnp.inf, largest.dtype), bits)  # its bits, all set
    only = lax.bitcast_convert_type(largest, bits) & exponent
    return jnp.where(usable, jnp.minimum(lax.bitcast_convert_type(only, largest.dtype), 1 / tiny), 1)
