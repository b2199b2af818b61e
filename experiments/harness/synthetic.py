"""The driver of experiments on a synthetic task: fresh sequences for training, evaluation and test, and the columns.

An experiment says what the problem is and what is set on the command line; its Config is one of these with more fields.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

import seqjax as sj
from experiments.harness.cells import cells_of
from experiments.harness.command import check_options
from experiments.harness.compare import conclude
from experiments.harness.run import Row, Rows, Run
from experiments.harness.training import first_below, fit_unit, init_params
from seqjax import Batch, batching, losses, train
from seqjax._internal.types import Array, Key, PyTree
from seqjax.tasks import Task

POSITIVE = ("steps", "batch_size", "learning_rate", "clip", "every", "evaluation")
AT_ONCE = 500  # sequences of an evaluation that are computed together

Score = Callable[[PyTree, Batch, Any], Any]


@dataclass(frozen=True)
class Budget:
    """Options of a training on fresh sequences."""

    steps: int = 6000
    """Updates at most; a run that has solved the task ends"""
    batch_size: int = 32
    """Sequences in a batch, fresh ones each time"""
    learning_rate: float = 1e-3
    """Of the optimiser"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    every: int = 250
    """Updates from evaluation to evaluation"""
    evaluation: int = 1000
    """Fresh sequences of an evaluation"""
    seed: int = 0
    """Of parameters and sequences"""


@dataclass(frozen=True)
class Config(Budget):
    """Options of an experiment that compares cells."""

    cell: tuple[str, ...] = ("RNN(64)", "GRU(64)", "LSTM(64)")
    """Cells to compare, each with a linear readout"""


class Problem(NamedTuple):
    """What is asked of a model.

    task, length: the sequences. measure: the name of what is evaluated, a mean that is to be small.
    baseline: its value without memory. solved: an evaluation below this ends the training.
    tests: how many times as many other sequences as in an evaluation are taken at the end.
    """

    task: Task
    length: int
    measure: str
    baseline: float
    solved: float
    tests: int = 1

    @property
    def in_features(self) -> int:
        """Features of an input; tokens are read as one-hot vectors."""
        return self.task.vocabulary or self.task.in_features

    def source(self, batch_size: int, seed: int) -> batching.Synthetic:
        """Endless fresh sequences."""
        return batching.Synthetic(functools.partial(_sample, self.task, batch_size, self.length), seed=seed % 2**32)


def compare_cells(name: str, problem: Problem, config: Config, **given: Any) -> dict[str, Any]:
    """Train each cell with Adam; the table and the figure are also in the run folder. `given` are columns.

    Raises:
        ArgumentError: an option out of range, or a cell that cannot read the sequences.
    """
    check_options(config, *POSITIVE)
    cells = cells_of(config.cell)
    run = Run(name, config, by=(*given, "cell"))
    words = " ".join(f"{key} {value}" for key, value in given.items())
    jobs = {f"{cell!r} {words}": functools.partial(_study, problem, config, cell, given) for cell in cells}
    return conclude(run, run.work(jobs), problem.measure)


def _study(problem: Problem, config: Config, cell: sj.Cell, given: Row, folder: Path) -> Rows:
    """One training."""
    model = sj.stack(cell, sj.Dense(problem.task.out_features))
    score = functools.partial(error, problem.task, model)
    step = train.make_train_step(
        score, optax.adam(config.learning_rate), clip=config.clip, max_skips=config.steps + 1
    )  # a training that diverges goes on to its end, as that is a finding

    def evaluate(params: PyTree, fresh: batching.Synthetic, steps: int) -> dict[str, float]:
        return {problem.measure: train.evaluate(score, params, fresh, steps=steps)["loss"]}

    params = init_params(model, problem.in_features, config.seed)
    columns, _ = train_and_test(problem, config, folder, model, step, params, evaluate)
    return [given | {"cell": repr(cell)} | columns]


def train_and_test(
    problem: Problem,
    config: Budget,
    folder: Path,
    model: sj.Cell,
    step: train.TrainStep,
    params: PyTree,
    evaluate: Callable[[PyTree, batching.Synthetic, int], dict[str, float]],
) -> tuple[Row, train.Result]:
    """Train until an evaluation says solved, and test the best parameters on other sequences.

    `evaluate(params, source, steps)` gives the measure, and others beside it.
    """
    size = min(AT_ONCE, config.evaluation)
    valid, test = (problem.source(size, config.seed + seed) for seed in (1_000_000, 2_000_000))
    evaluation = train.Evaluation(
        lambda params: evaluate(params, valid, -(-config.evaluation // size)),
        metric=problem.measure,
        target=problem.solved - 1e-9,  # below, not at
    )
    result, columns = fit_unit(
        folder,
        model,
        step,
        step.init(params, jax.random.key(config.seed)),
        problem.source(config.batch_size, config.seed),
        in_features=problem.in_features,
        steps=config.steps,
        every=min(config.every, config.steps),
        evaluation=evaluation,
    )
    at = first_below(result.history, problem.measure, problem.solved)
    tested = evaluate(result.params, test, -(-problem.tests * config.evaluation // size))
    return {
        problem.measure: tested[problem.measure],
        "solved": at is not None,
        "solved_at_update": at,
        "half_baseline_at_update": first_below(result.history, problem.measure, problem.baseline / 2),
        f"baseline_{problem.measure}": problem.baseline,
    } | columns, result


def error(task: Task, model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None) -> train.Mean:
    """Squared error, or cross-entropy in nats, over the steps that count."""
    _, outputs = sj.scan(model, params, batch.inputs, lengths=batch.lengths)
    each = losses.squared_error if task.score_name == "mse" else losses.cross_entropy
    return train.Mean.of(each(outputs, batch.targets), batch.weights)


def _sample(task: Task, batch_size: int, length: int, key: Key[Array, ""]) -> Batch:
    """Sequences with tokens as one-hot vectors."""
    batch = task.sample(key, batch_size, length)
    return batch._replace(inputs=jax.nn.one_hot(batch.inputs, task.vocabulary)) if task.vocabulary else batch
