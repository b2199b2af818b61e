"""Long short-term memory."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax.core.cell import Params
from seqjax.core.gating import activate
from seqjax.core.recurrent import Gated
from seqjax.core.taps import tap
from seqjax.initializers import Bias, forget_bias


class LSTMCarry(NamedTuple):
    """The memory c and the output h of an LSTM, `[B, F]` each."""

    c: jax.Array
    h: jax.Array


class LSTM(Gated):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        i, f, o = sigmoid(x W + b + h U),   g = tanh(x W + b + h U)     gate order i, f, g, o
        c' = f c + i g,   h' = o tanh(c'),   y = h'

    Args:
        features: F, the width of c and of h.
        bias_init: `forget_bias(1.0)` unless told otherwise.

    Carry: `LSTMCarry(c, h)`.
    """

    gates = ("i", "f", "g", "o")
    sums = True
    keep_gate = "f"
    write_gate = "i"
    carry_type = LSTMCarry

    _: dataclasses.KW_ONLY
    bias_init: Bias = forget_bias()

    def update(self, p: Params, carry: LSTMCarry, z: jax.Array, m: jax.Array) -> tuple[LSTMCarry, jax.Array]:
        """The equations after the sums."""
        i, f, g, o = activate(z + m, "sigmoid sigmoid tanh sigmoid")
        i, f, g, o = (tap(name, gate) for name, gate in zip(self.gates, (i, f, g, o)))
        c = tap("c", f * carry.c + i * g)
        h = tap("h", o * jnp.tanh(c))
        return LSTMCarry(c, h), h
