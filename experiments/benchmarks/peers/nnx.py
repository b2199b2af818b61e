"""Flax NNX: its cells in `nnx.RNN`, and `nnx.Bidirectional`. Its GRU has no second bias."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.benchmarks.peers.model import Model, Stream
from experiments.benchmarks.peers.work import VOCABULARY, NotOffered, Point, Tree, Weights

RNGS = nnx.Rngs(0)


class Own(nnx.RNNCellBase):
    """The cell `own` of `GATES`, with one linear layer for all gates of the input and one for those of h."""

    def __init__(self, width: int, features: int) -> None:
        self.dense_i = nnx.Linear(width, 2 * features, rngs=RNGS)
        self.dense_h = nnx.Linear(features, 2 * features, use_bias=False, rngs=RNGS)
        self.features = features

    def __call__(self, h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        z_f, z_n = jnp.split(self.dense_i(x), 2, -1)
        m_f, m_n = jnp.split(self.dense_h(h), 2, -1)
        f = nnx.sigmoid(z_f + m_f)
        n = nnx.tanh(z_n + f * m_n)
        h = (1 - f) * n + f * h
        return h, h

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None) -> jax.Array:
        return jnp.zeros((*input_shape[:-1], self.features))

    @property
    def num_feature_axes(self) -> int:
        return 1


class BiLSTM(nnx.Module):
    """Two bidirectional layers."""

    def __init__(self, width: int, features: int) -> None:
        layer = lambda width: nnx.Bidirectional(*(nnx.RNN(lstm(width, features)) for _ in range(2)))
        self.first, self.second = layer(width), layer(2 * features)

    def __call__(self, xs: jax.Array, seq_lengths: jax.Array | None = None) -> jax.Array:
        xs = self.first(xs, seq_lengths=seq_lengths)  # type: ignore[assignment]
        return self.second(xs, seq_lengths=seq_lengths)  # type: ignore[return-value]


class Text(nnx.Module):
    """Embed, LSTM and dense."""

    def __init__(self, width: int, features: int) -> None:
        self.embed = nnx.Embed(VOCABULARY, width, rngs=RNGS)
        self.layer = nnx.RNN(lstm(width, features))
        self.head = nnx.Linear(features, VOCABULARY, rngs=RNGS)

    def __call__(self, xs: jax.Array, seq_lengths: jax.Array | None = None) -> jax.Array:
        return self.head(self.layer(self.embed(xs), seq_lengths=seq_lengths))


def lstm(width: int, features: int) -> nnx.OptimizedLSTMCell:
    """Its LSTM."""
    return nnx.OptimizedLSTMCell(width, features, rngs=RNGS)


def own_lstm(w: Weights) -> Tree:
    """An LSTM."""
    return {"dense_i": {"kernel": w["kernel"]}, "dense_h": {"kernel": w["recurrent"], "bias": w["bias"]}}


def own_dense(w: Weights) -> Tree:
    """A network with one product each for x and h."""
    return {"dense_i": {"kernel": w["kernel"], "bias": w["bias"]}, "dense_h": {"kernel": w["recurrent"]}}


def own_bilstm(w: Weights) -> Tree:
    """Two bidirectional layers."""
    return {n: {f"{side}_rnn": {"cell": own_lstm(v)} for side, v in layer.items()} for n, layer in w.items()}


def own_text(w: Weights) -> Tree:
    """Embed, LSTM and dense."""
    return {"embed": {"embedding": w["table"]}, "layer": {"cell": own_lstm(w["layer"])}, "head": w["head"]}


def make(point: Point) -> Model:
    """The model of a work."""
    d, n = point.in_features, point.features
    cells: dict[str, Any] = {
        "rnn": lambda: nnx.SimpleCell(d, n, rngs=RNGS), "gru": lambda: nnx.GRUCell(d, n, rngs=RNGS),
        "rnn_relu": lambda: nnx.SimpleCell(d, n, activation_fn=nnx.relu, rngs=RNGS),
        "lstm": lambda: lstm(d, n), "own": lambda: Own(d, n),
    }  # fmt: skip
    if point.work == "bilstm":
        return model_of(BiLSTM(d, n), own_bilstm)
    if point.work == "text":
        return model_of(Text(d, n), own_text)
    if point.work not in cells:
        raise NotOffered(f"flax nnx has no {point.work}")
    own_cell = own_lstm if point.work == "lstm" else own_dense
    lacks = ("weights.hidden_bias",) if point.work == "gru" else ()
    return model_of(nnx.RNN(cells[point.work]()), lambda w: {"cell": own_cell(w)}, lacks)


def model_of(module: Any, own: Any, lacks: tuple[str, ...] = ()) -> Model:
    """The model of a module whose parameters are given as a tree of dictionaries."""
    split: Any = nnx.split(module, nnx.Param, ...)
    graph, params, rest = split

    def apply(own: Tree, xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
        state, others = jax.tree.map(lambda a: a, (params, rest))  # variables of this trace
        nnx.replace_by_pure_dict(state, own)
        return nnx.merge(graph, state, others)(xs, seq_lengths=lengths)

    return Model(own, apply, lacks)


def stream(point: Point, weights: Weights) -> Stream:
    """One step of an LSTM."""
    cell = lstm(point.in_features, point.features)
    graph, params = nnx.split(cell)
    nnx.replace_by_pure_dict(params, own_lstm(weights))
    carry = cell.initialize_carry((point.batch_size, point.in_features), RNGS)
    return Stream(lambda own, carry, x: nnx.merge(graph, own)(carry, x), params, carry)
