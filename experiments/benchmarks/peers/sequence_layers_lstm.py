"""sequence-layers on JAX: its LSTM. Every sequence of it has a mask.

Version 0.2 imports recurrentgemma for another layer, and that needs an older JAX: where it cannot be imported, a
stand-in takes its place.
"""

import sys
from typing import Any
from unittest.mock import MagicMock

import jax
import jax.numpy as jnp

try:
    import recurrentgemma  # noqa: F401
except ImportError:
    sys.modules["recurrentgemma"] = MagicMock()
import sequence_layers.jax as sl

from experiments.benchmarks.peers.model import Model, Stream
from experiments.benchmarks.peers.work import NotOffered, Point, Tree, Weights


def own_lstm(w: Weights) -> Tree:
    """An LSTM."""
    names = {"kernel": {"kernel": w["kernel"]}, "recurrent_kernel": {"kernel": w["recurrent"]}, "bias": w["bias"]}
    return {"params": names}


def sequence(xs: jax.Array, lengths: jax.Array | None) -> Any:
    """xs `[B, T, D]` with the mask of its lengths."""
    steps = jnp.arange(xs.shape[1])[None]
    mask = jnp.ones(xs.shape[:2], bool) if lengths is None else steps < lengths[:, None]
    return sl.Sequence(xs, mask)


def make(point: Point) -> Model:
    """The model of a work."""
    if point.work != "lstm":
        raise NotOffered(f"sequence-layers has no {point.work}")
    layer = sl.LSTM.Config(point.features).make()

    def apply(own: Tree, xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
        return layer.apply(own, sequence(xs, lengths), training=True, method="layer").values

    return Model(own_lstm, apply)


def stream(point: Point, weights: Weights) -> Stream:
    """One step of an LSTM."""
    layer = sl.LSTM.Config(point.features).make()

    def step(own: Tree, carry: Tree, x: jax.Array) -> tuple[Tree, jax.Array]:
        y, carry = layer.apply(own, sequence(x[:, None], None), carry, training=False, method="step")
        return carry, y.values[:, 0]

    return Stream(step, own_lstm(weights), (jnp.zeros((point.batch_size, 1, point.features)),) * 2)
