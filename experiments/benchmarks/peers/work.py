"""What every framework is given: shapes, weights and data as NumPy arrays. Free of every framework.

A layer's weights are `kernel` `[D, G F]`, `recurrent` `[F, G F]` and `bias` `[G F]`; each framework brings them into
its own layout. Gates stand in the order of seqjax: LSTM i, f, g, o; GRU r, u, n; the cell `own` f, n. A GRU with the
reset after the product has a second bias of n, `hidden_bias` `[F]`, zero here because not all frameworks have it.
"""

import dataclasses
from typing import Any

import numpy as np

Tree = Any
"""A tree of arrays in the layout of some framework."""

Weights = dict[str, Any]
"""A tree of dictionaries with NumPy arrays, or arrays of a framework."""


class NotOffered(LookupError):
    """The framework has no such layer."""


GATES = {"rnn": 1, "rnn_relu": 1, "lstm": 4, "gru": 3, "gru_before": 3, "own": 2}
"""Works of one layer, and the number of its gates.

rnn, rnn_relu: h' = tanh(x W + b + h U), or relu, which is the only one of Haiku.
gru, gru_before: the reset r after the product, n = tanh(x W + b + r (h U + b')), or before it, (r h) U.
own: a cell that a user writes, f = sigmoid(x W + b + h U), n = tanh(x W + b + f (h U)), h' = (1 - f) n + f h.
"""

WORKS = (*GATES, "bilstm", "text")
"""bilstm: two bidirectional LSTM layers. text: embed, LSTM, dense over VOCABULARY, and softmax loss."""

VOCABULARY = 256

SHAPES = ((32, 128, 64, 128), (16, 512, 256, 256), (1, 1024, 128, 128), (64, 96, 512, 512), (32, 784, 1, 128),
          (16, 200, 32, 32), (128, 64, 128, 256), (1, 100, 8, 8))  # B, T, D, F  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Point:
    """One measured thing: what is computed, at which sizes.

    call: "train" gives the loss and its gradients in parameters and inputs, "forward" the outputs, "flow" the norms of
        the gradient in the carry before every step.
    lengths: whether sequences have lengths of their own, between half the steps and all.
    """

    work: str
    call: str
    batch_size: int
    length: int
    in_features: int
    features: int
    lengths: bool = False


def layer_weights(rng: np.random.Generator, kind: str, width: int, features: int) -> Weights:
    """Of one layer, small enough that rounding does not grow over a thousand steps."""
    gates = GATES[kind] * features
    weights = {
        "kernel": _normal(rng, (width, gates), 1 / np.sqrt(width)),
        "recurrent": _normal(rng, (features, gates), 0.5 / np.sqrt(features)),
        "bias": _normal(rng, (gates,), 0.1),
    }
    if kind == "gru":
        weights["hidden_bias"] = np.zeros(features, np.float32)
    return weights


def make_weights(point: Point) -> Weights:
    """Those of the whole model, the same in every process."""
    rng, width, features = np.random.default_rng(0), point.in_features, point.features
    if point.work == "bilstm":
        widths = {"first": width, "second": 2 * features}
        sides = ("forward", "backward")
        return {n: {side: layer_weights(rng, "lstm", w, features) for side in sides} for n, w in widths.items()}
    if point.work == "text":
        table = _normal(rng, (VOCABULARY, width), 1.0)
        head = _normal(rng, (features, VOCABULARY), 1 / np.sqrt(features))
        head_bias = _normal(rng, (VOCABULARY,), 0.1)
        layer = layer_weights(rng, "lstm", width, features)
        return {"table": table, "layer": layer, "head": {"kernel": head, "bias": head_bias}}
    return layer_weights(rng, point.work, width, features)


@dataclasses.dataclass(frozen=True)
class Data:
    """xs `[B, T, D]`, or token ids `[B, T]` with targets of the same shape; lengths `[B]` or None."""

    xs: np.ndarray
    targets: np.ndarray | None
    lengths: np.ndarray | None


def make_data(point: Point) -> Data:
    """The data of a point, the same in every process."""
    rng, shape = np.random.default_rng(1), (point.batch_size, point.length)
    lengths = None
    if point.lengths:
        lengths = rng.integers((point.length + 1) // 2, point.length, point.batch_size, endpoint=True).astype(np.int32)
        lengths[0] = point.length
    if point.work == "text":
        xs, targets = rng.integers(0, VOCABULARY, (2, *shape)).astype(np.int32)
        return Data(xs, targets, lengths)
    return Data(_normal(rng, (*shape, point.in_features), 1.0), None, lengths)


def real_steps(point: Point, data: Data) -> np.ndarray:
    """Which steps are real, `[B, T]`."""
    shape = (point.batch_size, point.length)
    return np.ones(shape, bool) if data.lengths is None else np.arange(point.length) < data.lengths[:, None]


def _normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    return (scale * rng.standard_normal(shape)).astype(np.float32)
