"""Scaled dot-product attention: the one function, over all backends."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, Float, Int, Key
from seqjax._internal.validation import known, real_number, true_or_false
from seqjax.attention import backends
from seqjax.attention.bias import Bias
from seqjax.attention.dropout import make_dropout
from seqjax.attention.mask import Mask, as_mask
from seqjax.attention.shapes import check_positions, default_positions, fit, fit_positions
from seqjax.attention.terms import Terms, wide_dtype
from seqjax.errors import ArgumentError, ArgumentTypeError


def dot_product(
    q: Float[Array, "*B T N H"],
    k: Float[Array, "*B S K H"],
    v: Float[Array, "*B S K H"],
    mask: Mask | Bool[Array, "..."] | None = None,
    *,
    bias: Bias | Float[Array, "..."] | None = None,
    scale: float | Float[Array, ""] | None = None,
    positions: tuple[Int[Array, "..."], Int[Array, "..."]] | None = None,
    dropout: tuple[float, Key[Array, "..."]] | None = None,
    backend: str = "auto",
    return_weights: bool = False,
) -> Float[jax.Array, "*B T N H"] | tuple[Float[jax.Array, "*B T N H"], Float[jax.Array, "*B N T S"]]:
    """Scaled dot-product attention (Vaswani et al. 2017), with grouped heads (Ainslie et al. 2023).

        x_nts = scale * q_tn . k_sm + bias_nts
        w_nt  = softmax of x_nt over the s that t may attend to
        o_tn  = sum_s w_nts v_sm

    with m = n // (N / K) the key head that query head n shares. The softmax is taken in float32, or in float64 for
    float64. A query that may attend to nothing gets zeros, and zero gradients. It can be differentiated in
    both modes and to any order.

    Keys that `padding`, or a bool array `[*B, 1, 1, S]`, says are not real may hold anything, NaN too: neither outputs
    nor gradients read them. Behind any other mask NaN is read, as 0 times NaN: a later token of a causal mask.

    Args:
        mask: which pairs may attend, True = attend: a `Mask`, or a bool array `[*B, N, T, S]` or what broadcasts to it.
            Two axes are `[T, S]`; which keys `[*B, S]` are real is `padding(real)`, and an array that may be either is
            refused.
        bias: added to the scaled scores: an array `[*B, N, T, S]` or what broadcasts to it, or a `Bias` by position.
        scale: a number above 0; H ** -0.5 if None.
        positions: those of the queries `[*B, T]` or `[T]`, and of the keys `[*B, S]` or `[S]`, which the mask and a
            `Bias` go by. If None the keys are 0 .. S-1 and the queries the last T of them.
        dropout: a pair (rate, key) drops weights and divides the others by 1 - rate. Keys `[*B, T]`, one for each
            query; or one key, which becomes these by the number of the example and the query's position. What is
            dropped is a function of the query's key, the position of the attended token and the head alone.
        backend: "plain" (all scores at once), "chunked" (memory linear in length), "cudnn" (cuDNN's flash attention, on
            NVIDIA devices; first order in reverse alone), or "auto": one of the first two by size, as
            `seqjax.explain` tells.
        return_weights: the weights too, before dropout, in float32 or wider. Takes memory T x S.

    Raises:
        ArgumentError, ArgumentTypeError: shapes or dtypes that do not fit; a backend that cannot do what is asked.

        >>> import jax, jax.numpy as jnp
        >>> from seqjax import attention
        >>> q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 5, 4, 8))  # B = 2, T = S = 5, N = K = 4, H = 8
        >>> o, w = attention.dot_product(q, k, v, attention.causal(), return_weights=True)
        >>> o.shape, w.shape
        ((2, 5, 4, 8), (2, 4, 5, 5))
        >>> bool(jnp.allclose(o[:, 0], v[:, 0])), float(w[0, 0, 0, 1])  # the first step sees itself alone
        (True, 0.0)
    """
    q, k, v = _check_arrays(q, k, v)
    batch, queries, keys, heads = q.shape[:-3], q.shape[-3], k.shape[-3], q.shape[-2]
    places = default_positions(queries, keys) if positions is None else check_positions(positions)
    q_positions, k_positions = fit_positions(places, batch, queries, keys)
    wide = wide_dtype(q.dtype)
    by_position, pair_bias = _check_bias(bias, (*batch, heads, queries, keys))
    q, k, v = (jnp.swapaxes(a, -3, -2) for a in (q, k, v))
    fitted = None if mask is None else as_mask(mask).fit(batch, heads, queries, keys)
    terms = Terms(
        q, *_zero_padding(k, v, fitted), _check_scale(scale, q.shape[-1], wide), q_positions, k_positions,
        fitted, by_position, pair_bias, make_dropout(dropout, batch, q_positions),
    )  # fmt: skip
    outputs, weights = backends.run(backend, terms, positions is None, true_or_false("return_weights", return_weights))
    outputs = jnp.swapaxes(outputs, -3, -2)
    return outputs if weights is None else (outputs, weights)


def _check_arrays(q: Any, k: Any, v: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The three in their common dtype."""
    for name, array in (("q", q), ("k", k), ("v", v)):
        dtype = getattr(array, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            found = type(array).__name__ if dtype is None else f"dtype {dtype}"
            raise ArgumentTypeError(f"{name} must be a floating point array, found {found}")
        axes = "[*B, T, N, H]" if name == "q" else "[*B, S, K, H]"
        if array.ndim < 3:
            raise ArgumentError(f"{name} must have the axes {axes}, found shape {array.shape}. Are the heads missing?")
    shapes = f"found q {q.shape}, k {k.shape}, v {v.shape}: q is [*B, T, N, H], k and v are [*B, S, K, H]"
    if k.shape != v.shape:
        raise ArgumentError(f"k and v must have the same shape, {shapes}")
    if q.shape[:-3] != k.shape[:-3] or q.ndim != k.ndim:
        raise ArgumentError(f"q, k and v must have the same batch axes, {shapes}")
    if q.shape[-1] != k.shape[-1]:
        raise ArgumentError(f"q and k must have heads of the same width, {shapes}")
    if not k.shape[-2] or q.shape[-2] % k.shape[-2]:
        raise ArgumentError(
            f"the heads of k must divide those of q, {shapes}. Is time behind the heads? Swap the axes -3 and -2"
        )
    dtype = jnp.result_type(q, k, v)
    return jnp.asarray(q, dtype), jnp.asarray(k, dtype), jnp.asarray(v, dtype)


def _zero_padding(k: jax.Array, v: jax.Array, mask: Mask | None) -> tuple[jax.Array, jax.Array]:
    """Keys and values `[*B, K, S, H]`, zeros where they are not real: 0 times NaN would be NaN."""
    if mask is None or mask.real is None:
        return k, v
    real = mask.real[..., None, :, None]
    return jnp.where(real, k, 0), jnp.where(real, v, 0)


def _check_scale(scale: Any, features: int, dtype: jnp.dtype) -> Array:
    """One number of this dtype, NumPy's where it is known, which cuDNN must be told."""
    if scale is None:
        return np.asarray(features**-0.5, dtype)
    if getattr(scale, "shape", ()) != ():
        raise ArgumentError(f"scale must be one number, found shape {scale.shape}")
    if not known(scale) and jnp.issubdtype(scale.dtype, jnp.floating):
        return jnp.asarray(scale, dtype)
    if not 0 < real_number("scale", scale) < float("inf"):
        raise ArgumentError(f"scale must be finite and above 0, found {scale}")
    return jnp.asarray(scale, dtype) if isinstance(scale, jax.Array) else np.asarray(scale, dtype)


def _check_bias(bias: Any, pairs: tuple[int, ...]) -> tuple[Bias | None, jax.Array | None]:
    """A bias by position, or an array of pairs."""
    if bias is None:
        return None, None
    dtype = getattr(bias, "dtype", None)
    if dtype is None and isinstance(bias, Bias):
        return bias, None
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        slip = ". A bool array of pairs goes to mask" if dtype == jnp.bool_ else ""
        found = type(bias).__name__ if dtype is None else f"dtype {dtype}"
        raise ArgumentTypeError(f"bias must be a floating point array or a Bias, found {found}{slip}")
    return None, fit("bias", bias, pairs[:-3], pairs[-3:], free=True)
