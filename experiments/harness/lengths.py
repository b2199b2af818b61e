"""The driver of experiments on length: train on short sequences, test on longer ones, several seeds as one program."""

import functools
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import seqjax as sj
from experiments.harness import members
from experiments.harness.cells import count_parameters
from experiments.harness.command import check_options
from experiments.harness.run import Row, Rows
from seqjax import Batch, batching, losses, tasks, train
from seqjax._internal.types import Array, Float, Int, Key, PyTree

POSITIVE = ("longest", "test_longest", "tests", "embedding", "evaluation", *members.POSITIVE)


@dataclass(frozen=True)
class Budget(members.Members):
    """Options of a training on short sequences and its test on longer ones."""

    longest: int = 40
    """Training strings have 1 ... so many symbols"""
    test_longest: int = 500
    """The longest string of the test"""
    tests: int = 10
    """Lengths of the test, equally far from each other from longest + 1 to test_longest"""
    embedding: int = 32
    """Features that stand for a token"""
    evaluation: int = 40
    """Fresh sequences of a test, for each length"""

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the test's strings."""
        return tuple(int(t) for t in np.linspace(self.longest + 1, self.test_longest, self.tests).round())


def check(config: Budget, cells: tuple[str, ...]) -> None:
    """Refuse what cannot be trained.

    Raises:
        ArgumentError: an option out of range, no cell, or one that draws random numbers or reads no vectors.
    """
    check_options(config, *POSITIVE)
    if config.test_longest <= config.longest:
        raise sj.ArgumentError(f"test_longest must be above longest, found {config.test_longest} and {config.longest}")
    for text in cells:
        cell = sj.cell_from_text(text)
        if cell.feature_axes != 1 or cell.asks & {"key", "memory"}:
            raise sj.ArgumentError(f"cell: {text} must take vectors, and need neither random numbers nor a memory")


def short_name(text: str) -> str:
    """A cell for a figure: attention alone by its positions."""
    found = re.fullmatch(r"as_cell\(Transformer\w+.*positions=(?:'(\w+)'|None).*\)", text)
    return text if found is None else f"attention, {found[1] or 'no'} positions"


def steps_of(task: tasks.Task, length: int | Int[Array, " B"]) -> Any:
    """Steps of a sequence whose string has `length` symbols; without strings so many beyond the least there can be."""
    if not isinstance(task, tasks.StringTask):
        return task.min_length + length
    return (1 + task.per_token) * length + task.extra


def study(name: str, task: tasks.Task, text: str, config: Budget, folder: Path, label: str = "") -> Rows:
    """Train all members on one task; a row for each, with a label for the cell or its text."""
    cell, begun = sj.cell_from_text(text), time.time()
    model = sj.stack(sj.Embed(task.vocabulary, config.embedding), cell, sj.Dense(task.out_features))
    source = batching.Synthetic(functools.partial(short, task, config), seed=config.seed)
    found = members.fit_members(model, functools.partial(error, model), source, config, rows=20)
    params = jax.tree.map(lambda leaf: leaf[:, 0], found.state.params)
    key = jax.random.key(config.seed + 2_000_000)
    longer = accuracies(task, model, config.lengths, config.evaluation, params, key)
    trained = tuple(range(1, config.longest + 1))
    known = accuracies(task, model, trained, config.evaluation, params, jax.random.fold_in(key, 1))
    head = {"task": name, "cell": label or text}
    common = {
        "baseline_accuracy": float(np.mean([task.baseline(steps_of(task, t)) for t in config.lengths])),
        "parameters": count_parameters(model, 0),
        "updates": config.steps,
        "seconds": round(time.time() - begun, 1),
    }
    last = np.asarray(found.history[-1]["loss"])[:, 0]
    return [
        head | {"seed": seed} | scores(np.asarray(ys), np.asarray(xs)) | {"last_loss_nats": float(nats)} | common
        for seed, ys, xs, nats in zip(config.seeds, longer, known, last)
    ]


def scores(longer: Float[np.ndarray, " N"], trained: Float[np.ndarray, " M"]) -> Row:
    """The score, a mean over the lengths of the test; that over trained lengths; and what is at each length."""
    return {
        "accuracy": float(longer.mean()),
        "valid_accuracy": float(trained.mean()),
        "accuracy_at_longest": float(longer[-1]),
        "accuracies": [round(float(value), 4) for value in longer],
    }


def mean_and_best(rows: Rows, task: str, cell: str, measure: str = "accuracy") -> tuple[float, ...]:
    """Over the seeds, and over all cells where none is named, in percent; nothing where there is no row."""
    found = [100 * float(row[measure]) for row in rows if row["task"] == task and cell in ("", row["cell"])]
    return (sum(found) / len(found), max(found)) if found else ()


def short(task: tasks.Task, config: Budget, key: Key[Array, ""]) -> Batch:
    """A batch of training: each string as long as a draw from 1 ... longest says."""
    draw, lengths = jax.random.split(key)
    sizes = jax.random.randint(lengths, (config.batch_size,), 1, config.longest + 1)
    return task.sample(draw, config.batch_size, steps_of(task, config.longest), steps_of(task, sizes))


def error(model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None) -> train.Mean:
    """Cross-entropy in nats over the steps that count."""
    _, outputs = sj.scan(model, params, batch.inputs, lengths=batch.lengths)
    return train.Mean.of(losses.cross_entropy(outputs, batch.targets), batch.weights)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def accuracies(
    task: tasks.Task, model: sj.Cell, lengths: tuple[int, ...], count: int, params: PyTree, key: Key[Array, ""]
) -> Float[jax.Array, "M N"]:
    """The share of right answers of each member, whose axis comes first in params, at each length.

    One sequence of each length at a time, as attention over hundreds of long ones would fill the memory.
    """
    steps = [steps_of(task, t) for t in lengths]

    def block(params: PyTree, key: Key[Array, ""]) -> tuple[jax.Array, jax.Array]:
        batch = task.sample(key, len(steps), max(steps), jnp.asarray(steps))
        _, outputs = sj.scan(model, params, batch.inputs, lengths=batch.lengths)
        right = losses.accuracy(outputs, batch.targets)
        return jnp.sum(jnp.where(batch.weights, right, 0), -1), jnp.sum(batch.weights, -1)

    def member(params: PyTree) -> Float[jax.Array, " N"]:
        right, all_of = lax.map(functools.partial(block, params), jax.random.split(key, count))
        return jnp.sum(right, 0) / jnp.sum(all_of, 0)

    return lax.map(member, params)
