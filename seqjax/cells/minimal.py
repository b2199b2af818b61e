"""Gated cells whose gates see the input alone, so that all steps can be computed at once."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, DTypeLike, Float, Key, Params, Shape
from seqjax._internal.validation import check_batch_shape, check_counts, check_init
from seqjax.core.cell import Cell
from seqjax.core.gating import activate, draw_gates, linear, split_gates
from seqjax.core.taps import tap
from seqjax.initializers import Bias, Initializer, check_initializer, glorot, zeros


class _Minimal(Cell):
    """What both have in common: gates from the input alone, and a state h of their width."""

    gates: ClassVar[tuple[str, ...]] = ()
    keep_gate: ClassVar[str | None] = None
    write_gate: ClassVar[str | None] = None

    features: int
    _: dataclasses.KW_ONLY
    kernel_init: Initializer = glorot()
    bias_init: Bias = zeros()
    learned_carry: bool = False

    def __post_init__(self) -> None:
        check_counts(self, features=1)
        for name in ("kernel_init", "bias_init"):
            check_initializer(name, getattr(self, name))

    @property
    def out_features(self) -> int:
        return self.features

    def init(self, key: Key[jax.Array, ""], in_features: int, dtype: DTypeLike = jnp.float32) -> Params:
        """`project` {kernel `[D, G F]`, bias `[G F]`} and, if learned, `carry` `[F]`."""
        check_init(self, key, in_features, dtype)
        key_kernel, key_bias = jax.random.split(key)
        shape = (in_features, self.features)
        kernel = draw_gates(self.kernel_init, key_kernel, shape, len(self.gates), dtype)
        params: Params = {"project": {"kernel": kernel, "bias": self.bias_init(key_bias, self, dtype)}}
        return params | ({"carry": jnp.zeros(self.features, dtype)} if self.learned_carry else {})

    def initial_carry(self, params: Params, batch_shape: Shape = ()) -> Carry:
        """Zeros, or the learned carry, `[B, F]`; float32, or wider where the parameters are."""
        check_batch_shape(self, batch_shape)
        carry = super().initial_carry(params, batch_shape)
        if not self.learned_carry:
            return carry
        return jnp.broadcast_to(params["carry"].astype(carry.dtype), carry.shape)

    def _project(self, params: Params, x: Float[Array, "*B D"]) -> list[jax.Array]:
        """x W + b of each gate, for what is multiplied many times over in float32 at least."""
        z = linear(params["project"], x)
        return split_gates(z.astype(jnp.promote_types(z.dtype, jnp.float32)), len(self.gates))


class MinGRU(_Minimal):
    """Minimal gated recurrent unit (Feng et al. 2024, arXiv 2410.01201), gate order u, n.

        u = sigmoid(x W + b),   n = x W + b
        h' = (1 - u) n + u h,   y = h'

    A GRU whose gates do not see h, without its reset and its tanh. It is the paper's plain form, not the one in log
    space, and u, which keeps h as in a `GRU`, is 1 - z in its letters. As the recurrence is linear in h, all inputs are
    gated at once, and what is left of the loop is u h + b (see `engine` of `seqjax.scan`). u, of which many are
    multiplied, is computed in float32 at least.

    Args:
        features: F, the width of h.
        kernel_init, bias_init: from `seqjax.initializers`; `chrono(T)` spreads time constants up to T.
        learned_carry: make the initial carry a parameter, `params["carry"]`, zero at the start.

    Carry: h `[B, F]`.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.MinGRU(8, bias_init=sj.initializers.chrono(1000))
        >>> params = cell.init(jax.random.key(0), 3)
        >>> carry, ys = sj.scan(cell, params, jnp.ones((2, 5, 3)))
        >>> ys.shape, bool(jnp.all(carry == ys[:, -1]))
        ((2, 5, 8), True)
        >>> print(sj.explain(cell, params, jnp.ones((2, 5, 3)), engine="scan"))
        MinGRU(8, bias_init=chrono(1000)): loop over time for h' = a h + b alone, in chunks of 5 (asked for)
    """

    gates = ("u", "n")
    keep_gate = "u"

    def affine(self, params: Params, x: Float[Array, "*B D"]) -> tuple[Carry, Carry]:
        """u and (1 - u) n."""
        z_u, n = self._project(params, x)
        (u,) = activate(z_u, "sigmoid")
        u, n = tap("u", u), tap("n", n)
        return u, n - u * n


class MinLSTM(_Minimal):
    """Minimal long short-term memory (Feng et al. 2024, arXiv 2410.01201), gate order i, f, g.

        i, f = sigmoid(x W + b),   g = x W + b
        h' = f / (f + i) h + i / (f + i) g,   y = h'

    An LSTM whose gates do not see h, without its output gate and its tanh, and with gates that sum to 1. It is the
    paper's plain form, not the one in log space. In a trace i and f are the normalised gates, which sum to 1.

    Args:
        features: F, the width of h.
        kernel_init, bias_init: from `seqjax.initializers`; `chrono(T)` spreads time constants up to T.
        learned_carry: make the initial carry a parameter, `params["carry"]`, zero at the start.

    Carry: h `[B, F]`.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.MinLSTM(8)
        >>> params = cell.init(jax.random.key(0), 3)
        >>> carry, ys, seen = sj.trace(cell, params, jnp.ones((2, 5, 3)))
        >>> bool(jnp.all(seen["i"] + seen["f"] == 1)), bool(jnp.all(carry == ys[:, -1]))
        (True, True)
    """

    gates = ("i", "f", "g")
    keep_gate = "f"
    write_gate = "i"

    def affine(self, params: Params, x: Float[Array, "*B D"]) -> tuple[Carry, Carry]:
        """f / (f + i) and i / (f + i) g."""
        z_i, z_f, g = self._project(params, x)
        # f / (f + i) = 1 / (1 + exp(log i - log f)), which is finite where both gates are closed.
        (f,) = activate(jax.nn.softplus(-z_i) - jax.nn.softplus(-z_f), "sigmoid")
        f, i, g = tap("f", f), tap("i", 1 - f), tap("g", g)
        return f, i * g
