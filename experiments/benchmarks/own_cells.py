"""LSTM, GRU and RNN as a user writes them: the equations alone, in the three functions of `Recurrent`."""

from typing import Any

import jax.numpy as jnp

import seqjax as sj
from seqjax.cells.lstm import LSTMCarry


class OwnLSTM(sj.Gated):
    """The LSTM."""

    gates = ("i", "f", "g", "o")
    carry_type = LSTMCarry

    def update(self, p: Any, carry: Any, z: Any, m: Any) -> Any:
        i, f, g, o = sj.activate(z + m, "sigmoid sigmoid tanh sigmoid")
        c = f * carry.c + i * g
        h = o * jnp.tanh(c)
        return LSTMCarry(c, h), h


class OwnGRU(sj.Gated):
    """The GRU, reset after the product, without a second bias."""

    gates = ("r", "u", "n")

    def update(self, p: Any, h: Any, z: Any, m: Any) -> Any:
        (z_r, z_u, z_n), (m_r, m_u, m_n) = jnp.split(z, 3, -1), jnp.split(m, 3, -1)
        (r,), (u,) = sj.activate(z_r + m_r, "sigmoid"), sj.activate(z_u + m_u, "sigmoid")
        (n,) = sj.activate(z_n + r * m_n, "tanh")
        h = (1 - u) * n + u * h
        return h, h


class OwnRNN(sj.Gated):
    """The RNN."""

    gates = ("h",)

    def update(self, p: Any, h: Any, z: Any, m: Any) -> Any:
        (h,) = sj.activate(z + m, "tanh")
        return h, h


OWN = {sj.LSTM: OwnLSTM, sj.GRU: OwnGRU, sj.RNN: OwnRNN}
