"""How well is a handwritten digit recognised pixel by pixel, in order and with the pixels shuffled?

Expectation: gated cells far above a tanh RNN on the 784 steps of MNIST (Bai et al. 2018, 70,000 parameters: LSTM 87.2,
GRU 96.2, RNN 21.5 %; permuted 85.7, 87.3, 25.3 %), with a wide spread between papers for the same cell; an RNN that
starts at the identity with rectified units reaches 97 % and 82 % after a very long training (Le et al. 2015). On the
64 steps of the small digits all cells learn.

    python -m experiments.sequential_digits --data mnist --permuted --cell "GRU(64)" --epochs 5
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

import seqjax as sj
from experiments.harness.cells import cells_of, match_parameters
from experiments.harness.command import check_options, command
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from experiments.harness.training import at_last, fit_unit, init_params
from seqjax import Batch, batching, datasets, losses, train
from seqjax._internal.types import Array, Float, Key, Num, PyTree

DATA = ("digits", "mnist")

Part = tuple[Float[Array, "_ T 1"], Num[Array, " _"]]
"""Pictures and their classes."""


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    data: str = "digits"
    """digits (8 x 8) or mnist (28 x 28)"""
    permuted: bool = False
    """Read the pixels in one random order, the same for all pictures"""
    cell: tuple[str, ...] = ("RNN(64)", "GRU(64)", "LSTM(64)")
    """Cells to compare"""
    parameters: int = 0
    """Change the widths so that each model has about as many; 0 leaves them"""
    batch_size: int = 32
    """Pictures in a batch"""
    epochs: int = 40
    """Passes through the training pictures"""
    learning_rate: float = 3e-3
    """Of Adam"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    train_pictures: int = 0
    """Train on so many pictures only; 0 takes all"""
    seed: int = 0
    """Of parameters and order"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; the test accuracy is that of the epoch with the best validation.

    Raises:
        ArgumentError: an option out of range, a data set that is not of digits.
    """
    check_options(config, "batch_size", "epochs", "learning_rate", "clip")
    if config.data not in DATA:
        raise sj.ArgumentError(f"data must be one of {', '.join(DATA)}, found {config.data!r}")
    cells = cells_of(config.cell)
    data = datasets.load(config.data)
    held = data.train.hold_out(5000) if config.data == "mnist" else (data.train, data.valid)
    parts = [(sequences(part.inputs, config.permuted), part.targets) for part in (*held, data.test)]
    run = Run("sequential_digits", config, by=("data", "permuted", "cell"))
    jobs = {repr(cell): functools.partial(study, config, cell, parts) for cell in cells}
    return conclude(run, run.work(jobs), "accuracy")


def study(config: Config, cell: sj.Cell, parts: Sequence[Part], folder: Path) -> Rows:
    """One training."""
    if config.parameters:
        cell = match_parameters(cell, config.parameters, 1, lambda cell: sj.stack(cell, sj.Dense(10)))
    model = sj.stack(cell, sj.Dense(10))
    score = functools.partial(nats, model)
    (xs, ys), *held = parts
    some = config.train_pictures or len(xs)
    source = batching.Shuffled(xs[:some], ys[:some], config.batch_size, config.seed, remainder="drop")
    valid, test = (batching.Shuffled(xs, ys, 200, shuffle=False) for xs, ys in held)
    epoch = source.steps_per_epoch
    steps = config.epochs * epoch
    step = train.make_train_step(score, optax.adam(config.learning_rate), clip=config.clip, max_skips=steps + 1)
    evaluation = train.Evaluation(
        lambda params: train.evaluate(score, params, valid), every=epoch, metric="accuracy", higher_is_better=True
    )
    state = step.init(init_params(model, 1, config.seed), jax.random.key(config.seed))
    result, columns = fit_unit(
        folder,
        model,
        step,
        state,
        source,
        steps=steps,
        in_features=1,
        every=min(epoch, 100),
        evaluation=evaluation,
    )
    found = {"data": config.data, "permuted": config.permuted, "cell": repr(cell)}
    found["accuracy"] = train.evaluate(score, result.params, test)["accuracy"]
    return [found | {"baseline_accuracy": 0.1} | columns]


def sequences(images: Num[np.ndarray, "N H W"], permuted: bool) -> Float[Array, "N T 1"]:
    """Pictures pixel by pixel."""
    xs = datasets.pixels(images)
    return datasets.permute(xs) if permuted else xs


def nats(
    model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None
) -> tuple[train.Mean, dict[str, train.Mean]]:
    """Cross-entropy at the last pixel, and the share that is right."""
    logits = at_last(model, params, batch)
    right = train.Mean.of(losses.accuracy(logits, batch.targets), batch.weights)
    return train.Mean.of(losses.cross_entropy(logits, batch.targets), batch.weights), {"accuracy": right}


if __name__ == "__main__":
    command(main, Config, __doc__)
