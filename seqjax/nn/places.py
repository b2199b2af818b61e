"""Where the tokens of one call stand."""

import jax
import jax.numpy as jnp
from flax import nnx

from seqjax._internal.types import Array, Bool
from seqjax.attention import cache
from seqjax.attention.placement import Places
from seqjax.nn.checks import check_flags


def place_tokens(
    module: nnx.Module,
    x: Array,
    mask: Bool[Array, "*B T"] | None,
    resets: Bool[Array, "*B T"] | None,
    count: Array | None = None,
    *,
    features: int = 0,
) -> tuple[jax.Array, Places | None]:
    """x with zeros where it is not real, and where the tokens stand: None if there is nothing to say.

    features: how many of the axes of x are features.

    Raises:
        ArgumentError, ArgumentTypeError: flags that are not bool `[*B, T]`.
    """
    shape = x.shape[: x.ndim - features]
    check_flags(module, "mask", mask, shape), check_flags(module, "resets", resets, shape)
    if mask is not None:
        real = mask.reshape(*shape, *[1] * features)
        x = jnp.where(real, x, jnp.zeros_like(x))
    if count is None and mask is None and resets is None:
        return jnp.asarray(x), None
    count = jnp.zeros(shape[:-1], jnp.int32) if count is None else count
    return jnp.asarray(x), cache.places(count, mask, resets, shape[-1])
