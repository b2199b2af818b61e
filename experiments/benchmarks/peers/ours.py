"""seqjax; a user's cell both in three functions and as a step alone."""

from typing import Any

import jax
import jax.numpy as jnp

import seqjax as sj
from experiments.benchmarks.peers.model import Model, Stream
from experiments.benchmarks.peers.work import VOCABULARY, NotOffered, Point, Tree, Weights
from seqjax.diagnostics import gradient_flow


class Own(sj.Gated):
    """The cell `own` of `GATES` in three functions, of which `Gated` has two."""

    gates = ("f", "n")

    def update(self, p: Tree, h: jax.Array, z: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
        (z_f, z_n), (m_f, m_n) = jnp.split(z, 2, -1), jnp.split(m, 2, -1)
        (f,) = sj.activate(z_f + m_f, "sigmoid")
        (n,) = sj.activate(z_n + f * m_n, "tanh")
        h = (1 - f) * n + f * h
        return h, h


class OwnStep(sj.Cell):
    """The same as a step alone."""

    features: int
    uniform = True
    out_features = property(lambda self: self.features)

    def init(self, key: jax.Array, in_features: int, dtype: Any = jnp.float32) -> Tree:
        return Own(self.features).init(key, in_features, dtype)

    def initial_carry(self, params: Tree, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.features))

    def step(self, params: Tree, h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        (z_f, z_n) = jnp.split(sj.linear(params["project"], x), 2, -1)
        (m_f, m_n) = jnp.split(sj.linear(params["mix"], h), 2, -1)
        f = jax.nn.sigmoid(z_f + m_f)
        n = jnp.tanh(z_n + f * m_n)
        h = (1 - f) * n + f * h
        return h, h


def own_layer(w: Weights) -> Tree:
    """The parameters of one layer."""
    hidden = {"bias": w["hidden_bias"]} if "hidden_bias" in w else {}
    return {"project": {"kernel": w["kernel"], "bias": w["bias"]}, "mix": {"kernel": w["recurrent"], **hidden}}


def own_bilstm(w: Weights) -> Tree:
    """Two bidirectional layers."""
    return {str(i): {side: own_layer(v) for side, v in layer.items()} for i, layer in enumerate(w.values())}


def own_text(w: Weights) -> Tree:
    """Embed, LSTM and dense."""
    return {"0": {"table": w["table"]}, "1": own_layer(w["layer"]), "2": w["head"]}


def cell_of(point: Point) -> sj.Cell:
    """The model of a work."""
    n = point.features
    if point.work == "bilstm":
        return sj.stack(sj.bidirectional(sj.LSTM(n)), sj.bidirectional(sj.LSTM(n)))
    if point.work == "text":
        return sj.stack(sj.Embed(VOCABULARY, point.in_features), sj.LSTM(n), sj.Dense(VOCABULARY))
    return {
        "rnn": sj.RNN(n), "rnn_relu": sj.RNN(n, activation="relu"), "lstm": sj.LSTM(n),
        "gru": sj.GRU(n), "gru_before": sj.GRU(n, reset_after=False), "own": Own(n),
    }[point.work]  # fmt: skip


def make(point: Point, engine: str = "auto") -> Model:
    """The model of a work."""
    return model_of(point, cell_of(point), engine)


def make_step_alone(point: Point) -> Model:
    """The user's cell as a step alone."""
    if point.work != "own":
        raise NotOffered("its other cells are those of seqjax")
    return model_of(point, OwnStep(point.features))


def model_of(point: Point, cell: sj.Cell, engine: str = "auto") -> Model:
    """The model that runs a cell."""
    own = {"bilstm": own_bilstm, "text": own_text}.get(point.work, own_layer)
    return Model(own, lambda params, xs, lengths: sj.scan(cell, params, xs, lengths=lengths, engine=engine)[1])


def stream(point: Point, weights: Weights) -> Stream:
    """One step of an LSTM."""
    cell, params = sj.LSTM(point.features), own_layer(weights)
    return Stream(cell.step, params, cell.initial_carry(params, (point.batch_size,)))


def flow(point: Point, weights: Weights, xs: jax.Array) -> jax.Array:
    """All norms of the gradient in the carry, first step first."""
    logs = gradient_flow(sj.LSTM(point.features), own_layer(weights), xs, lambda y: jnp.sum(y, axis=-1)).joint
    return jnp.exp(logs[:, :0:-1])
