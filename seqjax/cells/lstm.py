"""Long short-term memory."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from seqjax._internal.types import Float, Int, Pair, Params
from seqjax.core.gating import activate
from seqjax.core.recurrent import Gated
from seqjax.core.taps import tap
from seqjax.initializers import Bias, forget_bias


class LSTMCarry(NamedTuple):
    """The memory c and the output h of an LSTM, `[B, F]` each."""

    c: Float[jax.Array, "*B F"]
    h: Float[jax.Array, "*B F"]


class LSTM(Gated):
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

        i, f, o = sigmoid(x W + b + h U),   g = tanh(x W + b + h U)     gate order i, f, g, o
        c' = f c + i g,   h' = o tanh(c'),   y = h'

    Args:
        features: F, the width of c and of h.
        bias_init: by default forget gates begin with the bias 1.

    Carry: `LSTMCarry(c, h)`.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.LSTM(8, bias_init=sj.initializers.chrono(200))
        >>> cell
        LSTM(8, bias_init=chrono(200))
        >>> params = cell.init(jax.random.key(0), 3)
        >>> carry, ys = sj.scan(cell, params, jnp.ones((2, 5, 3)))
        >>> ys.shape, carry.c.shape, bool(jnp.all(carry.h == ys[:, -1]))
        ((2, 5, 8), (2, 8), True)
    """

    gates = ("i", "f", "g", "o")
    sums = True
    keep_gate = "f"
    write_gate = "i"
    carry_type = LSTMCarry

    _: dataclasses.KW_ONLY
    bias_init: Bias = forget_bias()

    def update(self, p: Params, carry: LSTMCarry, z: Float[jax.Array, "*B GF"], m: Float[jax.Array, "*B GF"]) -> Pair:
        i, f, g, o = activate(z + m, "sigmoid sigmoid tanh sigmoid")
        i, f, g, o = (tap(name, gate) for name, gate in zip(self.gates, (i, f, g, o)))
        c = tap("c", f * carry.c + i * g)
        (shown,) = activate(c, "tanh")
        h = tap("h", o * shown)
        return LSTMCarry(c, h), h

    def cudnn(
        self, params: Params, carry: LSTMCarry, xs: Float[jax.Array, "T *B D"], lengths: Int[jax.Array, "*B"]
    ) -> Pair:
        """All steps by cuDNN, which has these equations, the gates in this order, and a second bias; time first."""
        steps, *batch, width = xs.shape
        project, features = params["project"], self.features
        zeros = jnp.zeros(4 * features, xs.dtype)
        parts = (project["kernel"].T, params["mix"]["kernel"].T, project.get("bias", zeros), zeros)
        rows = jnp.moveaxis(xs.reshape(steps, -1, width), 0, 1)
        h, c = (a.reshape(1, -1, features) for a in (carry.h, carry.c))
        weights = jnp.concatenate([part.ravel() for part in parts])
        ys, h, c = rnn.lstm(rows, h, c, weights, lengths.ravel(), width, features, 1, 0.0, False)
        after = LSTMCarry(c.reshape(carry.c.shape), h.reshape(carry.h.shape))
        return after, jnp.moveaxis(ys, 0, 1).reshape(steps, *batch, features)
