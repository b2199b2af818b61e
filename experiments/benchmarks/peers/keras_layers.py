"""Keras 3 on JAX: its layers by `stateless_call`, lengths as a mask. Its GRU has both forms, and two biases in one."""

import os
from typing import Any

import jax
import jax.numpy as jnp

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is imported
import keras

from experiments.benchmarks.peers.model import Model, Stream, regroup
from experiments.benchmarks.peers.work import VOCABULARY, NotOffered, Point, Tree, Weights

ALL = {"return_sequences": True}


class OwnCell(keras.layers.Layer):
    """The cell `own` of `GATES`, for `keras.layers.RNN`."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.state_size = self.output_size = self.features = features

    def build(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 2 * self.features))
        self.recurrent = self.add_weight(shape=(self.features, 2 * self.features))
        self.bias = self.add_weight(shape=(2 * self.features,))

    def call(self, x: jax.Array, states: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        h = states[0]
        z_f, z_n = keras.ops.split(keras.ops.matmul(x, self.kernel) + self.bias, 2, -1)
        m_f, m_n = keras.ops.split(keras.ops.matmul(h, self.recurrent), 2, -1)
        f = keras.ops.sigmoid(z_f + m_f)
        n = keras.ops.tanh(z_n + f * m_n)
        h = (1 - f) * n + f * h
        return h, [h]


def own_layer(w: Weights) -> list[jax.Array]:
    """One layer."""
    return [w["kernel"], w["recurrent"], w["bias"]]


def own_gru(w: Weights) -> list[jax.Array]:
    """A GRU."""
    kernel, recurrent, bias = (regroup(a, "u r n", "run") for a in own_layer(w))
    if "hidden_bias" in w:
        rest = jnp.zeros_like(w["bias"])[w["hidden_bias"].size :]
        bias = jnp.stack([bias, jnp.concatenate([rest, w["hidden_bias"]])])
    return [kernel, recurrent, bias]


def own_bilstm(w: Weights) -> list[jax.Array]:
    """Two bidirectional layers."""
    sides = [(n, side) for n in ("first", "second") for side in ("forward", "backward")]
    return [a for n, side in sides for a in own_layer(w[n][side])]


def own_text(w: Weights) -> list[jax.Array]:
    """Embed, LSTM and dense."""
    return [w["table"], *own_layer(w["layer"]), w["head"]["kernel"], w["head"]["bias"]]


class Chain(keras.layers.Layer):
    """Layers one after another, the mask given to the recurrent ones."""

    def __init__(self, *layers: Any) -> None:
        super().__init__()
        self.layers = list(layers)

    def build(self, shape: tuple[int, ...]) -> None:
        for layer in self.layers:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, xs: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        for layer in self.layers:
            recurrent = isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional))
            xs = layer(xs, mask=mask) if recurrent else layer(xs)
        return xs


def make(point: Point) -> Model:
    """The model of a work."""
    n, layers = point.features, keras.layers
    makers: dict[str, Any] = {
        "rnn": lambda: [layers.SimpleRNN(n, **ALL)],
        "rnn_relu": lambda: [layers.SimpleRNN(n, activation="relu", **ALL)],
        "lstm": lambda: [layers.LSTM(n, **ALL)],
        "gru": lambda: [layers.GRU(n, **ALL)],
        "gru_before": lambda: [layers.GRU(n, reset_after=False, **ALL)],
        "own": lambda: [layers.RNN(OwnCell(n), **ALL)],
        "bilstm": lambda: [layers.Bidirectional(layers.LSTM(n, **ALL)) for _ in range(2)],
        "text": lambda: [
            layers.Embedding(VOCABULARY, point.in_features),
            layers.LSTM(n, **ALL),
            layers.Dense(VOCABULARY),
        ],
    }
    if point.work not in makers:
        raise NotOffered(f"keras has no {point.work}")
    chain = Chain(*makers[point.work]())
    sizes = (point.batch_size, point.length)
    chain.build(sizes if point.work == "text" else (*sizes, point.in_features))
    own = {"gru": own_gru, "gru_before": own_gru, "bilstm": own_bilstm, "text": own_text}.get(point.work, own_layer)
    others = [v.value for v in chain.non_trainable_variables]

    def apply(own: Tree, xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
        mask = None if lengths is None else jnp.arange(xs.shape[1])[None] < lengths[:, None]
        return chain.stateless_call(own, others, xs, mask=mask)[0]

    return Model(own, apply)


def stream(point: Point, weights: Weights) -> Stream:
    """One step of an LSTM."""
    cell = keras.layers.LSTMCell(point.features)
    cell.build((point.batch_size, point.in_features))
    others = [v.value for v in cell.non_trainable_variables]

    def step(own: Tree, carry: Tree, x: jax.Array) -> tuple[Tree, jax.Array]:
        (y, carry), _ = cell.stateless_call(own, others, x, carry)
        return carry, y

    return Stream(step, own_layer(weights), [jnp.zeros((point.batch_size, point.features))] * 2)
