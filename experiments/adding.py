"""Which cells carry two numbers across a long sequence: the adding problem.

Expectation (Hochreiter and Schmidhuber 1997; in the form of Le et al. 2015, numbers in [0, 1] and one mark in each
half): gated cells solve it, a tanh RNN stays near the mean squared error of always answering 1, which is 1/6, as its
gradient does not reach the first number. Solved is our bound, a mean squared error below 0.005 on 2,000 fresh
sequences; the error in the table is that of the best parameters on five times as many others.

    python -m experiments.adding --length 200 --seeds 0 1 2
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seqjax as sj
from experiments.common import Rows, Run, check_options, command
from experiments.compare import conclude
from experiments.training import at_last, cells_of, first_below, trained
from seqjax import batching, losses, tasks, train

SOLVED = 0.005


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = ("RNN(64)", "GRU(64)", "LSTM(64)")
    """Cells to compare, each with a linear readout at the last step"""
    length: int = 200
    """Steps of a sequence"""
    steps: int = 6000
    """Updates at most; a run that has solved the task ends"""
    batch: int = 32
    """Sequences in a batch, fresh ones each time"""
    learning_rate: float = 3e-3
    """Of Adam"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    every: int = 250
    """Updates from evaluation to evaluation"""
    evaluation: int = 2000
    """Fresh sequences of an evaluation; another five times as many at the end"""
    seed: int = 0
    """Of parameters and sequences"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, a length that is too short.
    """
    check_options(config, "steps", "batch", "learning_rate", "clip", "every", "evaluation")
    cells = cells_of(config.cell)
    tasks.adding.baseline(config.length)
    run = Run("adding", config, by=("length", "cell"))
    jobs = {f"{cell!r} T={config.length}": functools.partial(study, config, cell) for cell in cells}
    return conclude(run, run.work(jobs), "mse")


def study(config: Config, cell: sj.Cell, folder: Path) -> Rows:
    """One training."""
    model = sj.stack(cell, sj.Dense(1))
    loss = functools.partial(squared, model)

    def source(batch: int, seed: int) -> batching.Synthetic:
        return batching.Synthetic(lambda key: tasks.adding.sample(key, batch, config.length), seed=seed)

    size = min(500, config.evaluation)
    valid, test = (source(size, seed + config.seed) for seed in (1_000_000, 2_000_000))

    def mse(params: Any, fresh: batching.Synthetic, sequences: int) -> dict[str, float]:
        return {"mse": train.evaluate(loss, params, fresh, steps=-(-sequences // size))["loss"]}

    result, columns = trained(
        folder,
        model,
        loss,
        source(config.batch, config.seed),
        steps=config.steps,
        seed=config.seed,
        rate=config.learning_rate,
        clip=config.clip,
        every=min(config.every, config.steps),
        evaluation=train.Evaluation(
            lambda params: mse(params, valid, config.evaluation), metric="mse", target=SOLVED - 1e-9
        ),
    )
    tested = mse(result.params, test, 5 * config.evaluation)
    reached = first_below(result.history, "mse", SOLVED)
    found = {"length": config.length, "cell": repr(cell)} | tested
    return [
        found
        | {"solved": reached is not None, "solved at": reached}
        | {"baseline": tasks.adding.baseline(config.length)}
        | columns
    ]


def squared(model: sj.Cell, params: Any, batch: Any, key: Any) -> train.Mean:
    """Squared error at the last step."""
    answers = batch.targets[:, -1]
    return train.Mean.of(losses.squared_error(at_last(model, params, batch), answers))


if __name__ == "__main__":
    command(main, Config, __doc__)
