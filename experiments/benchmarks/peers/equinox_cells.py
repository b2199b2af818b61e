"""Equinox: its cells in a `lax.scan` under `vmap`, as its manual has it. It has no simple network, and no lengths."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from experiments.benchmarks.peers.model import Model, Stream
from experiments.benchmarks.peers.work import VOCABULARY, NotOffered, Point, Tree, Weights

KEY = jax.random.key(0)


class Simple(eqx.Module):
    """The simple network, in the style of `eqx.nn.GRUCell`."""

    weight_ih: jax.Array
    weight_hh: jax.Array
    bias: jax.Array
    relu: bool = eqx.field(static=True)

    def __call__(self, x: jax.Array, h: jax.Array) -> jax.Array:
        activation = jax.nn.relu if self.relu else jnp.tanh
        return activation(self.weight_ih @ x + self.weight_hh @ h + self.bias)


class Own(eqx.Module):
    """The cell `own` of `GATES`, in the same style."""

    weight_ih: jax.Array
    weight_hh: jax.Array
    bias: jax.Array

    def __call__(self, x: jax.Array, h: jax.Array) -> jax.Array:
        z_f, z_n = jnp.split(self.weight_ih @ x + self.bias, 2)
        m_f, m_n = jnp.split(self.weight_hh @ h, 2)
        f = jax.nn.sigmoid(z_f + m_f)
        n = jnp.tanh(z_n + f * m_n)
        return (1 - f) * n + f * h


def with_weights(cell: Any, w: Weights) -> Tree:
    """A cell with these weights, which Equinox has transposed."""
    names = ["weight_ih", "weight_hh", "bias"]
    arrays = [w["kernel"].T, w["recurrent"].T, w["bias"]]
    if "hidden_bias" in w:
        names, arrays = [*names, "bias_n"], [*arrays, w["hidden_bias"]]
    return eqx.tree_at(lambda c: [getattr(c, name) for name in names], cell, arrays)


def run(cell: Any, states: int, xs: jax.Array, lengths: jax.Array | None, reverse: bool = False) -> jax.Array:
    """The outputs h of all steps; the state is (h, c), or h alone."""

    def one(xs: jax.Array, length: jax.Array | None) -> jax.Array:
        def body(state: Tree, inputs: tuple[jax.Array, jax.Array]) -> tuple[Tree, jax.Array]:
            x, t = inputs
            after = cell(x, state)
            y = after[0] if states == 2 else after
            if length is not None:
                after = jax.tree.map(lambda a, b: jnp.where(t < length, a, b), after, state)
            return after, y

        features = cell.weight_hh.shape[1]
        state = (jnp.zeros(features),) * 2 if states == 2 else jnp.zeros(features)
        return lax.scan(body, state, (xs, jnp.arange(xs.shape[0])), reverse=reverse)[1]

    return jax.vmap(one, (0, None if lengths is None else 0))(xs, lengths)


def layer(kind: str, width: int, features: int) -> tuple[Any, int]:
    """A cell, and the number of its states."""
    empty = jnp.zeros(())
    if kind == "lstm":
        return eqx.nn.LSTMCell(width, features, key=KEY), 2
    if kind == "gru":
        return eqx.nn.GRUCell(width, features, key=KEY), 1
    if kind == "own":
        return Own(empty, empty, empty), 1
    if kind in ("rnn", "rnn_relu"):
        return Simple(empty, empty, empty, kind == "rnn_relu"), 1
    raise NotOffered(f"equinox has no {kind}")


def make_bilstm(point: Point) -> Model:
    """Two bidirectional layers."""
    n = point.features
    cells = {name: layer("lstm", width, n)[0] for name, width in (("first", point.in_features), ("second", 2 * n))}

    def own(w: Weights) -> Tree:
        return {name: {side: with_weights(cells[name], v) for side, v in w[name].items()} for name in cells}

    def apply(own: Tree, xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
        for sides in (own["first"], own["second"]):
            halves = [run(sides[side], 2, xs, lengths, side == "backward") for side in ("forward", "backward")]
            xs = jnp.concatenate(halves, axis=-1)
        return xs

    return Model(own, apply)


def make_text(point: Point) -> Model:
    """Embed, LSTM and dense."""
    cell = layer("lstm", point.in_features, point.features)[0]
    embed = eqx.nn.Embedding(VOCABULARY, point.in_features, key=KEY)
    linear = eqx.nn.Linear(point.features, VOCABULARY, key=KEY)

    def own(w: Weights) -> Tree:
        head = eqx.tree_at(lambda m: [m.weight, m.bias], linear, [w["head"]["kernel"].T, w["head"]["bias"]])
        return eqx.tree_at(lambda m: m.weight, embed, w["table"]), with_weights(cell, w["layer"]), head

    def apply(own: Tree, xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
        embed, cell, head = own
        return jax.vmap(jax.vmap(head))(run(cell, 2, jax.vmap(jax.vmap(embed))(xs), lengths))

    return Model(own, apply)


def make(point: Point) -> Model:
    """The model of a work."""
    if point.work in ("bilstm", "text"):
        return make_bilstm(point) if point.work == "bilstm" else make_text(point)
    cell, states = layer(point.work, point.in_features, point.features)
    return Model(lambda w: with_weights(cell, w), lambda own, xs, lengths: run(own, states, xs, lengths))


def stream(point: Point, weights: Weights) -> Stream:
    """One step of an LSTM."""

    def step(own: Tree, carry: Tree, x: jax.Array) -> tuple[Tree, jax.Array]:
        carry = jax.vmap(own)(x, carry)
        return carry, carry[0]

    cell = layer("lstm", point.in_features, point.features)[0]
    carry = (jnp.zeros((point.batch_size, point.features)),) * 2
    return Stream(step, with_weights(cell, weights), carry)
