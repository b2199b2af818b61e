"""What all parts of the gradient-norm experiment measure with: a model, its short training, its gradient flow."""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np
import optax

import seqjax as sj
from experiments.gradients.sources import Source
from experiments.harness.training import init_params
from seqjax import losses, train
from seqjax._internal.types import Array, Bool, Float, Int, Key, Num, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import GradientFlow, gradient_flow

LOG10 = math.log(10)


def model_of(cell: sj.Cell, source: Source) -> Stack:
    """Embedding (for text), the cell, and a linear readout."""
    front = () if source.front is None else (source.front,)
    return sj.stack(*front, cell, sj.Dense(source.classes))


def width(source: Source) -> int:
    """Features of the raw inputs; 0 for characters."""
    return 0 if source.xs is None else int(source.xs.shape[-1])


def fresh_params(model: sj.Cell, source: Source, seed: int) -> PyTree:
    """Fresh parameters."""
    return init_params(model, width(source), seed)


@functools.partial(jax.jit, static_argnums=0)
def flow(
    model: Stack,
    params: PyTree,
    xs: Num[Array, "B T *D"],
    targets: Int[Array, " B"],
    mask: Bool[Array, "B T"] | None = None,
) -> GradientFlow:
    """The gradient flow through the cell alone, between the front and the readout of the model.

    The loss is that of the last step, whose targets are given.
    """
    *front, cell, readout = model.cells
    assert isinstance(readout, sj.Dense)
    for i, part in enumerate(front):
        _, xs = sj.scan(part, params[str(i)], xs, mask=mask)
    here, last = str(len(front)), params[str(len(front) + 1)]

    def loss(y: jax.Array) -> jax.Array:
        return losses.cross_entropy(readout.apply(last, y), targets)

    return gradient_flow(cell, params[here], xs, loss, mask=mask)


def last_target(targets: Int[Array, " B *T"]) -> Int[Array, " B"]:
    """What is asked of the last step: its next character, or the class."""
    return targets[:, -1] if targets.ndim == 2 else targets


class Training(NamedTuple):
    """How a model is trained between two measurements: `steps` updates on windows of `length` steps."""

    steps: int
    length: int
    batch_size: int
    learning_rate: float
    seed: int


class Windows:
    """A source of the windows of all training steps, drawn one after the other."""

    def __init__(self, source: Source, training: Training) -> None:
        rng = np.random.default_rng((training.seed, 0))
        self.steps = training.steps
        self._batches = [source.windows(rng, training.batch_size, training.length) for _ in range(training.steps)]

    def batch(self, step: int) -> tuple[Num[Array, "B T *D"], Int[Array, " B *T"]]:
        """Inputs and targets of a step."""
        return self._batches[step]


def fit(
    model: sj.Cell,
    params: PyTree,
    windows: Windows,
    optimizer: optax.GradientTransformation,
    clip: float | None = None,
) -> train.Result:
    """Train on the windows; loss and gradient norm of every step stand in the history.

    The loss is over all next characters. A model that reads both directions has seen them, all but the last, so that
    its loss is of the last step alone.
    """

    def loss(params: PyTree, batch: tuple[PyTree, PyTree], key: Key[Array, ""]) -> train.Mean:
        xs, targets = batch
        _, logits = sj.scan(model, params, xs)
        if targets.ndim == 2 and model.causal:
            return train.Mean.of(losses.cross_entropy(logits, targets))
        return train.Mean.of(losses.cross_entropy(logits[:, -1], last_target(targets)))

    step = train.make_train_step(loss, optimizer, clip=clip, max_skips=windows.steps + 1)
    state = step.init(params, jax.random.key(0))
    return train.fit(step, state, windows, steps=windows.steps, every=1, progress=False)


def powers(logs: Float[np.ndarray, " T"]) -> list[float | None]:
    """Natural logarithms as those to the base 10; None is a norm of exactly zero, or one that is not finite."""
    return [round(float(v) / LOG10, 4) if np.isfinite(v) else None for v in logs]
