"""Gated recurrent units."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from seqjax.cell import Params
from seqjax.gating import gates, linear
from seqjax.recurrent import Gated
from seqjax.taps import tap
from seqjax.trees import out_dtype


class GRU(Gated):
    """Gated recurrent unit (Cho et al. 2014), gate order r, u, n.

        r, u = sigmoid(x W + b + h U)
        n = tanh(x W + b + r (h U + b'))        reset after the product, as in cuDNN and torch
        n = tanh(x W + b + (r h) U)             reset before it, as Cho et al. wrote it
        h' = (1 - u) n + u h,   y = h'

    Args:
        features: F, the width of h.
        reset_after: which n. With False there is no b' (`params["update"]["bias"]`, `[F]`), and as the product
            then waits for r the cell is driven by its step alone.

    Carry: h `[B, F]`.
    """

    gates = ("r", "u", "n")
    keep_gate = "u"

    _: dataclasses.KW_ONLY
    reset_after: bool = True

    @property
    def splits(self) -> bool:
        return self.reset_after

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Params:
        """As `Gated`, and `update` {bias `[F]`}, zero, for the reset-after form."""
        params = super().init(key, in_features, dtype)
        if self.reset_after:
            params["update"] = {"bias": jnp.zeros(self.features, dtype)}
        return params

    def update(self, p: Params, h: jax.Array, z: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The equations after the products (reset after)."""
        split = 2 * self.features
        r, u = gates(z[..., :split] + m[..., :split], "sigmoid sigmoid")
        r, u = tap("r", r), tap("u", u)
        hidden = m[..., split:]
        bias = jnp.broadcast_to(p["bias"].astype(hidden.dtype), hidden.shape)
        (n,) = gates(z[..., split:] + r * (hidden + bias), "tanh")
        n = tap("n", n)
        h = tap("h", n + u * (h - n))
        return h, h

    def step(self, params: Params, carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """One time step of either form."""
        if self.reset_after:
            return super().step(params, carry, x)
        split = 2 * self.features
        kernel = params["mix"]["kernel"]
        z = linear(params["project"], x)
        m = linear({"kernel": kernel[:, :split]}, carry, keep=True)
        r, u = gates(z[..., :split] + m, "sigmoid sigmoid")
        r, u = tap("r", r), tap("u", u)
        reset = linear({"kernel": kernel[:, split:]}, (r * carry).astype(carry.dtype), keep=True)
        (n,) = gates(z[..., split:] + reset, "tanh")
        n = tap("n", n)
        h = tap("h", n + u * (carry - n))
        return h.astype(carry.dtype), h.astype(out_dtype(params, x))
