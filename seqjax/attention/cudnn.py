"""cuDNN's flash attention through `jax.nn.dot_product_attention`, where it can give the same numbers.

It differentiates once, in reverse. It is not asked for flags or biases of pairs: on those it fails or is slow in
several versions (jax issues 28974, 32242, 30593, 35114).
"""

import math

import jax
import jax.numpy as jnp

from seqjax._internal.validation import is_concrete
from seqjax.attention.terms import Terms


def obstacles(terms: Terms, default_positions: bool, return_weights: bool) -> list[str]:
    """Why it cannot compute this; nothing if it can."""
    dtype, width, mask = terms.q.dtype, terms.q.shape[-1], terms.mask
    queries, keys = terms.q.shape[-2], terms.k.shape[-2]
    arrays = mask is not None and (mask.real, mask.prefix, mask.pairs, *mask.segments)
    square = default_positions and queries == keys
    reasons = {
        f"the device is {jax.default_backend()}, no GPU": jax.default_backend() not in ("gpu", "cuda"),
        f"it takes bfloat16 or float16, found {dtype}": dtype not in (jnp.bfloat16, jnp.float16),
        f"heads must be a multiple of 8 and at most 256 wide, found {width}": width % 8 != 0 or width > 256,
        "it has no weights to return": return_weights,
        "dropout by keys and positions is unknown to it": terms.dropout is not None,
        "it is given no bias": terms.bias is not None or terms.pair_bias is not None,
        "of masks it knows causal() and causal() & window(n)": arrays and any(a is not None for a in arrays),
        "a window without causal() is unknown to it": mask is not None and bool(mask.window) and not mask.causal,
        "its masks are for T = S and default positions": mask is not None and not square,
        "scale must be a number, not traced": not is_concrete(terms.scale),
        "there is nothing to attend to": not queries or not keys,
    }
    return [reason for reason, holds in reasons.items() if holds]


def flash(terms: Terms) -> jax.Array:
    """The outputs `[*B, N, T, H]`."""
    rows = math.prod(terms.q.shape[:-3])
    q, k, v = (jnp.swapaxes(a.reshape(rows, *a.shape[-3:]), 1, 2) for a in (terms.q, terms.k, terms.v))
    mask = terms.mask
    window = None if mask is None or mask.window is None else (mask.window - 1, 0)
    outputs = jax.nn.dot_product_attention(
        q, k, v, scale=float(terms.scale), is_causal=mask is not None and mask.causal,
        local_window_size=window, implementation="cudnn",
    )  # fmt: skip
    return jnp.swapaxes(outputs, 1, 2).reshape(terms.q.shape)
