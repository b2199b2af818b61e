"""Flax linen: its cells in `linen.RNN`, and `linen.Bidirectional`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from experiments.benchmarks.peers.model import Model, Stream
from experiments.benchmarks.peers.work import VOCABULARY, NotOffered, Point, Tree, Weights


class Own(linen.RNNCellBase):
    """The cell `own` of `GATES`, with one dense layer for all gates of the input and one for those of h."""

    features: int

    @linen.compact
    def __call__(self, h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        z_f, z_n = jnp.split(linen.Dense(2 * self.features, name="i")(x), 2, -1)
        m_f, m_n = jnp.split(linen.Dense(2 * self.features, use_bias=False, name="h")(h), 2, -1)
        f = linen.sigmoid(z_f + m_f)
        n = linen.tanh(z_n + f * m_n)
        h = (1 - f) * n + f * h
        return h, h

    @linen.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]) -> jax.Array:
        return jnp.zeros((*input_shape[:-1], self.features))

    @property
    def num_feature_axes(self) -> int:
        return 1


def own_lstm(w: Weights) -> Tree:
    """An LSTM."""
    kernels, hidden, biases = (jnp.split(w[name], 4, -1) for name in ("kernel", "recurrent", "bias"))
    own: Tree = {f"i{gate}": {"kernel": kernel} for gate, kernel in zip("ifgo", kernels)}
    return own | {f"h{gate}": {"kernel": u, "bias": b} for gate, u, b in zip("ifgo", hidden, biases)}


def own_gru(w: Weights) -> Tree:
    """A GRU."""
    kernels, hidden, biases = (jnp.split(w[name], 3, -1) for name in ("kernel", "recurrent", "bias"))
    own: Tree = {f"i{gate}": {"kernel": kernel, "bias": b} for gate, kernel, b in zip("rzn", kernels, biases)}
    own |= {f"h{gate}": {"kernel": u} for gate, u in zip("rzn", hidden)}
    return own | {"hn": {"kernel": hidden[2], "bias": w["hidden_bias"]}}


def own_dense(w: Weights) -> Tree:
    """A network with one product each for x and h."""
    return {"i": {"kernel": w["kernel"], "bias": w["bias"]}, "h": {"kernel": w["recurrent"]}}


class BiLSTM(linen.Module):
    """Two bidirectional layers."""

    features: int

    @linen.compact
    def __call__(self, xs: jax.Array, seq_lengths: jax.Array | None = None) -> jax.Array:
        for name in ("first", "second"):
            cells = [linen.OptimizedLSTMCell(self.features, name=f"{name}_{side}") for side in ("forward", "backward")]
            layer: Any = linen.Bidirectional(linen.RNN(cells[0]), linen.RNN(cells[1]), name=name)
            xs = layer(xs, seq_lengths=seq_lengths)
        return xs


class Text(linen.Module):
    """Embed, LSTM and dense."""

    width: int
    features: int

    @linen.compact
    def __call__(self, xs: jax.Array, seq_lengths: jax.Array | None = None) -> jax.Array:
        xs = linen.Embed(VOCABULARY, self.width, name="embed")(xs)
        layer: Any = linen.RNN(linen.OptimizedLSTMCell(self.features, name="layer"))
        return linen.Dense(VOCABULARY, name="head")(layer(xs, seq_lengths=seq_lengths))


def own_bilstm(w: Weights) -> Tree:
    """Two bidirectional layers."""
    return {f"{n}_{side}": own_lstm(v) for n, layer in w.items() for side, v in layer.items()}


def own_text(w: Weights) -> Tree:
    """Embed, LSTM and dense."""
    return {"embed": {"embedding": w["table"]}, "layer": own_lstm(w["layer"]), "head": w["head"]}


def make(point: Point) -> Model:
    """The model of a work."""
    n = point.features
    cells: dict[str, Any] = {
        "rnn": (linen.SimpleCell(n), own_dense), "own": (Own(n), own_dense), "gru": (linen.GRUCell(n), own_gru),
        "rnn_relu": (linen.SimpleCell(n, activation_fn=linen.relu), own_dense),
        "lstm": (linen.OptimizedLSTMCell(n), own_lstm),
    }  # fmt: skip
    module: Any
    if point.work == "bilstm":
        module, own = BiLSTM(n), own_bilstm
    elif point.work == "text":
        module, own = Text(point.in_features, n), own_text
    elif point.work in cells:
        cell, own_cell = cells[point.work]
        module, own = linen.RNN(cell), lambda w: {"cell": own_cell(w)}
    else:
        raise NotOffered(f"flax linen has no {point.work}")
    return Model(lambda w: {"params": own(w)}, lambda p, xs, lengths: module.apply(p, xs, seq_lengths=lengths))


def stream(point: Point, weights: Weights) -> Stream:
    """One step of an LSTM."""
    cell: Any = linen.OptimizedLSTMCell(point.features)
    carry = cell.initialize_carry(jax.random.key(0), (point.batch_size, point.in_features))
    return Stream(lambda own, carry, x: cell.apply({"params": own}, carry, x), own_lstm(weights), carry)
