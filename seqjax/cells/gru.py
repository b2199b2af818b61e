"""Gated recurrent units."""

import dataclasses

import jax
import jax.numpy as jnp

from seqjax._internal.trees import out_dtype
from seqjax._internal.types import Array, DTypeLike, Float, Key, Pair, Params
from seqjax.core.gating import activate, keep, linear
from seqjax.core.recurrent import Gated
from seqjax.core.taps import tap


class GRU(Gated):
    """Gated recurrent unit (Cho et al. 2014), gate order r, u, n.

        r, u = sigmoid(x W + b + h U)
        n = tanh(x W + b + r (h U + b'))        reset after the product, as in cuDNN and torch
        n = tanh(x W + b + (r h) U)             reset before it, as Cho et al. wrote it
        h' = (1 - u) n + u h,   y = h'

    Args:
        features: F, the width of h.
        reset_after: which n. With False there is no b' (`params["mix"]["bias"]`, `[F]`), and as the product
            then waits for r the cell is driven by its step alone.

    Carry: h `[B, F]`.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.GRU(8)
        >>> params = cell.init(jax.random.key(0), 3)
        >>> carry, ys = sj.scan(cell, params, jnp.ones((2, 5, 3)))
        >>> ys.shape, bool(jnp.all(carry == ys[:, -1]))
        ((2, 5, 8), True)
    """

    gates = ("r", "u", "n")
    keep_gate = "u"
    uniform = True

    _: dataclasses.KW_ONLY
    reset_after: bool = True

    @property
    def separable(self) -> bool:
        return self.reset_after

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """As `Gated`, and `mix` has a bias `[F]`, zero, for the reset-after form."""
        params = super().init(key, in_features, dtype)
        if self.reset_after:
            params["mix"]["bias"] = jnp.zeros(self.features, dtype)
        return params

    def mix(self, p: Params, carry: Float[jax.Array, "*B F"]) -> Float[jax.Array, "*B GF"]:
        """h U + (0, 0, b'), in the precision of U, accumulated in that of h."""
        # b' here and not in `update`, whose parameters would take a pass of their own over all steps for the gradient.
        m = linear({"kernel": p["kernel"]}, carry, keep=True)
        bias = jnp.pad(p["bias"].astype(m.dtype), (2 * self.features, 0))
        return m + jnp.broadcast_to(bias, m.shape)

    def project(self, p: Params, x: Float[Array, "*B D"]) -> tuple[Float[jax.Array, "*B F"], ...]:
        """x W + b, cut into the parts of r, u and n."""
        # Cut here, once for many steps: XLA's CPU loops over slices of a slice (of step t, of a gate) are not
        # vectorised, and made a forward pass take 1.5 to 2 times as long.
        return tuple(jnp.split(linear(p, x), 3, axis=-1))

    def update(
        self,
        p: Params,
        h: Float[jax.Array, "*B F"],
        z: tuple[Float[jax.Array, "*B F"], ...],
        m: Float[jax.Array, "*B GF"],
    ) -> Pair:
        """The next h, for the reset after the product."""
        # Cut by `split`, whose transpose is one concatenation; that of slices is sums of padded arrays.
        (z_r, z_u, z_n), (m_r, m_u, hidden) = z, jnp.split(m, 3, axis=-1)
        # Two activations: in one, XLA would have to cut what it has just computed, which is not vectorised either.
        (r,), (u,) = activate(z_r + m_r, "sigmoid"), activate(z_u + m_u, "sigmoid")
        r, u = tap("r", r), tap("u", u)
        (n,) = activate(z_n + r * keep(hidden), "tanh")
        n = tap("n", n)
        h = tap("h", n + u * (h - n))  # (1 - u) n + u h with one product less
        return h, h

    def step(self, params: Params, carry: Float[jax.Array, "*B F"], x: Float[Array, "*B D"]) -> Pair:
        if self.reset_after:
            return super().step(params, carry, x)
        # r multiplies h before the product with U, so that r must be known first: two products, one after the other.
        cut = lambda a: jnp.split(a, [2 * self.features], axis=-1)
        z_ru, z_n = cut(linear(params["project"], x))
        kernel_ru, kernel_n = cut(params["mix"]["kernel"])
        r, u = activate(z_ru + linear({"kernel": kernel_ru}, carry, keep=True), "sigmoid sigmoid")
        r, u = tap("r", r), tap("u", u)
        hidden = linear({"kernel": kernel_n}, (r * carry).astype(carry.dtype), keep=True)
        (n,) = activate(z_n + hidden, "tanh")
        n = tap("n", n)
        h = tap("h", n + u * (carry - n))
        return h.astype(carry.dtype), h.astype(out_dtype(params, x))
