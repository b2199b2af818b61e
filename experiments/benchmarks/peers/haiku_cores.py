"""Haiku: its cores in `hk.dynamic_unroll`. It has no lengths: a core that keeps its state over padding is written here.

Its simple network is one with relu, its GRU one with the reset before the product, and its LSTM adds 1 to f.
"""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from experiments.benchmarks.peers.model import Model, Stream, regroup
from experiments.benchmarks.peers.work import VOCABULARY, NotOffered, Point, Tree, Weights


class Own(hk.RNNCore):
    """The cell `own` of `GATES`."""

    def __init__(self, features: int) -> None:
        super().__init__(name="own")
        self.features = features

    def __call__(self, x: jax.Array, h: jax.Array) -> tuple[jax.Array, jax.Array]:
        z_f, z_n = jnp.split(hk.Linear(2 * self.features)(x), 2, -1)
        m_f, m_n = jnp.split(hk.Linear(2 * self.features, with_bias=False)(h), 2, -1)
        f = jax.nn.sigmoid(z_f + m_f)
        n = jnp.tanh(z_n + f * m_n)
        h = (1 - f) * n + f * h
        return h, h

    def initial_state(self, batch_size: int) -> jax.Array:
        return jnp.zeros((batch_size, self.features))


class Kept(hk.RNNCore):
    """A core whose state stays what it is in unreal steps; its input is (x, whether it is real)."""

    def __init__(self, core: Any) -> None:
        super().__init__(name="kept")
        self.core = core

    def __call__(self, inputs: tuple[jax.Array, jax.Array], state: Tree) -> tuple[jax.Array, Tree]:
        x, real = inputs
        y, after = self.core(x, state)
        return y, jax.tree.map(lambda a, b: jnp.where(real[:, None], a, b), after, state)

    def initial_state(self, batch_size: int) -> Tree:
        return self.core.initial_state(batch_size)


def unroll(core: Any, xs: jax.Array, lengths: jax.Array | None, reverse: bool = False) -> jax.Array:
    """All outputs of a core, batch first."""
    state = core.initial_state(xs.shape[0])
    if lengths is None:
        return hk.dynamic_unroll(core, xs, state, time_major=False, reverse=reverse)[0]
    real = jnp.arange(xs.shape[1])[None] < lengths[:, None]
    return hk.dynamic_unroll(Kept(core), (xs, real), state, time_major=False, reverse=reverse)[0]


def bilstm(features: int, xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Two bidirectional layers."""
    for name in ("first", "second"):
        ahead = unroll(hk.LSTM(features, name=f"{name}_forward"), xs, lengths)
        behind = unroll(hk.LSTM(features, name=f"{name}_backward"), xs, lengths, reverse=True)
        xs = jnp.concatenate([ahead, behind], axis=-1)
    return xs


def text(point: Point, xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Embed, LSTM and dense."""
    ys = unroll(hk.LSTM(point.features), hk.Embed(VOCABULARY, point.in_features)(xs), lengths)
    return hk.Linear(VOCABULARY, name="head")(ys)


def own_lstm(w: Weights, name: str = "lstm") -> Tree:
    """An LSTM."""
    kernel = jnp.concatenate([w["kernel"], w["recurrent"]])
    i, f, g, o = jnp.split(w["bias"], 4)
    bias = jnp.concatenate([i, g, f - 1, o])
    return {f"{name}/linear": {"w": regroup(kernel, "i g f o", "ifgo"), "b": bias}}


def own_gru(w: Weights) -> Tree:
    """A GRU."""
    names = {"kernel": "w_i", "recurrent": "w_h", "bias": "b"}
    return {"gru": {to: regroup(w[name], "-u r n", "run") for name, to in names.items()}}


def own_two(name: str, w: Weights) -> Tree:
    """A core with one product each for x and h."""
    return {f"{name}/linear": {"w": w["kernel"], "b": w["bias"]}, f"{name}/linear_1": {"w": w["recurrent"]}}


def own_bilstm(w: Weights) -> Tree:
    """Two bidirectional layers."""
    parts = [own_lstm(v, f"{n}_{side}") for n, layer in w.items() for side, v in layer.items()]
    return {name: value for part in parts for name, value in part.items()}


def own_text(w: Weights) -> Tree:
    """Embed, LSTM and dense."""
    head = {"w": w["head"]["kernel"], "b": w["head"]["bias"]}
    return {"embed": {"embeddings": w["table"]}, "head": head} | own_lstm(w["layer"])


def make(point: Point) -> Model:
    """The model of a work."""
    n = point.features
    layers: dict[str, Any] = {
        "rnn_relu": (lambda: hk.VanillaRNN(n, double_bias=False), lambda w: own_two("vanilla_rnn", w)),
        "own": (lambda: Own(n), lambda w: own_two("own", w)),
        "lstm": (lambda: hk.LSTM(n), own_lstm), "gru_before": (lambda: hk.GRU(n), own_gru),
    }  # fmt: skip
    if point.work == "bilstm":
        run, own = (lambda xs, lengths: bilstm(n, xs, lengths)), own_bilstm
    elif point.work == "text":
        run, own = (lambda xs, lengths: text(point, xs, lengths)), own_text
    elif point.work in layers:
        core, own = layers[point.work]
        run = lambda xs, lengths: unroll(core(), xs, lengths)
    else:
        raise NotOffered(f"haiku has no {point.work}")
    apply = hk.without_apply_rng(hk.transform(run)).apply
    return Model(own, apply)


def stream(point: Point, weights: Weights) -> Stream:
    """One step of an LSTM."""
    apply = hk.without_apply_rng(hk.transform(lambda x, state: hk.LSTM(point.features)(x, state))).apply
    carry = hk.LSTMState(*jnp.zeros((2, point.batch_size, point.features)))
    return Stream(lambda own, carry, x: apply(own, x, carry)[::-1], own_lstm(weights), carry)
