"""Does clipping, or a regulariser that keeps the gradient's norm, let plain SGD learn long temporal order?

Expectation (Pascanu, Mikolov, Bengio 2013, figure 7): as sequences get longer SGD alone fails, because learning to
remember leads to exploding gradients; with clipping it succeeds, and the regulariser helps beyond that. Protocol of
the paper: tanh RNN of 50 units, batches of 20, learning rate 0.01, clipping at norm 1, regulariser with weight 4,
"smart tanh" start; solved is less than 1 % wrong of 10,000 sequences, as soon as an evaluation says so. It allows 5
million updates, here 100,000. The share in the table is that of the best parameters on 10,000 others.

    python -m experiments.temporal_order --seeds 0 1 2 3 4
"""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from experiments.harness import synthetic
from experiments.harness.command import check_options, command
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax import Batch, batching, losses, tasks, train
from seqjax._internal.types import Array, Float, Key, PyTree
from seqjax.combinators import Stack

METHODS = ("SGD", "SGD-C", "SGD-CR")
SOLVED = 0.01


@dataclass(frozen=True)
class Config(synthetic.Budget):
    """Options of the experiment."""

    lengths: tuple[int, ...] = (50, 100)
    """Steps of a sequence"""
    methods: tuple[str, ...] = METHODS
    """SGD alone, with clipping (SGD-C), with clipping and regulariser (SGD-CR)"""
    units: int = 50
    """Width of the RNN"""
    regulariser: float = 4.0
    """Weight of the regulariser"""
    steps: int = 100_000
    """Updates at most; a run that has solved the task ends"""
    batch_size: int = 20
    """Sequences in a batch"""
    learning_rate: float = 0.01
    """Of SGD"""
    every: int = 2000
    """Updates from evaluation to evaluation"""
    evaluation: int = 10_000
    """Fresh sequences of an evaluation"""


def main(config: Config) -> dict[str, Any]:
    """Train for each length and method; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, a method that is not known, or a length that is too short.
    """
    check_options(config, "units", *synthetic.POSITIVE)
    for method in config.methods:
        if method not in METHODS:
            raise sj.ArgumentError(f"methods must be of {', '.join(METHODS)}, found {method!r}")
    problems = [problem_of(length) for length in config.lengths]
    run = Run("temporal_order", config, by=("length", "method"))
    jobs = {
        f"{method} length {problem.length}": functools.partial(study, config, method, problem)
        for problem, method in itertools.product(problems, config.methods)
    }
    return conclude(run, run.work(jobs), "wrong_share", trend=("length", "solved"))


def problem_of(length: int) -> synthetic.Problem:
    """The share of sequences whose class is wrong; three of the four classes are, for who guesses."""
    baseline = 1 - tasks.temporal_order.baseline(length)
    return synthetic.Problem(tasks.temporal_order, length, "wrong_share", baseline, SOLVED)


def study(config: Config, method: str, problem: synthetic.Problem, folder: Path) -> Rows:
    """One training."""
    model = sj.stack(sj.RNN(config.units), sj.Dense(problem.task.out_features))
    score = functools.partial(loss, model, 0.0)
    step = train.make_train_step(
        functools.partial(loss, model, config.regulariser if method == "SGD-CR" else 0.0),
        optax.sgd(config.learning_rate),
        clip=None if method == "SGD" else config.clip,
        max_skips=config.steps + 1,  # a training that diverges goes on to its end, as that is a finding
    )

    def evaluate(params: PyTree, fresh: batching.Synthetic, steps: int) -> dict[str, float]:
        found = train.evaluate(score, params, fresh, steps=steps)
        weights = np.asarray(params["0"]["mix"]["kernel"])
        return {"wrong_share": found["wrong_share"], "radius": float(np.abs(np.linalg.eigvals(weights)).max())}

    start = smart_tanh(problem.in_features, config.units, config.seed)
    columns, result = synthetic.train_and_test(problem, config, folder, model, step, start, evaluate)
    norms = [row["norm"] for row in result.history if "norm" in row and "partial" not in row]
    return [{"length": problem.length, "method": method} | columns | {"largest_mean_norm": max(norms, default=None)}]


def smart_tanh(inputs: int, units: int, seed: int) -> PyTree:
    """The paper's start: N(0, 0.01^2), 15 weights a unit, scaled to a spectral radius of 0.95; biases 0.

    The authors' code keeps 15 in each row, the weights to which a unit feeds; so does this.
    """
    rng = np.random.default_rng(seed)
    kernel, mix, readout = (rng.normal(0, 0.01, shape) for shape in ((inputs, units), (units, units), (units, 4)))
    for row in mix:
        row[rng.permutation(units)[15:]] = 0
    mix *= 0.95 / np.abs(np.linalg.eigvals(mix)).max()
    params = {
        "0": {"project": {"kernel": kernel, "bias": np.zeros(units)}, "mix": {"kernel": mix}},
        "1": {"kernel": readout, "bias": np.zeros(4)},
    }
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)


def loss(
    model: Stack, weight: float, params: PyTree, batch: Batch, key: Key[Array, ""] | None
) -> tuple[train.Mean, dict[str, train.Mean]]:
    """Cross-entropy at the last step and `weight` times the regulariser; the share of sequences that are wrong."""
    cell, readout = model.cells
    assert isinstance(readout, sj.Dense)
    _, hs = sj.scan(cell, params["0"], batch.inputs)
    answers = batch.targets[:, -1]

    def error(last: jax.Array) -> jax.Array:
        return jnp.mean(losses.cross_entropy(readout.apply(params["1"], last), answers))

    wrong = train.Mean.of(1 - losses.accuracy(readout.apply(params["1"], hs[:, -1]), answers))
    value = error(hs[:, -1])
    if weight:
        value += weight * regulariser(params["0"]["mix"]["kernel"], hs, jax.grad(error)(hs[:, -1]))
    return train.Mean(value * len(answers), jnp.asarray(len(answers))), {"wrong_share": wrong}


def regulariser(
    mix: Float[jax.Array, "F F"], hs: Float[jax.Array, "B T F"], last: Float[jax.Array, "B F"]
) -> Float[jax.Array, ""]:
    """Omega: how far the norm of dE/dh_t changes from step to step, a mean over steps and examples.

    Omega_t = (|dE/dh_t diag(1 - h_t^2) U'|^2 / |dE/dh_t|^2 - 1)^2, whose gradient is taken with respect to U alone,
    with h and dE/dh as constants (equations 9 and 10 of the paper). The paper writes a sum over steps; its code, and
    this, takes the mean over steps and examples whose |dE/dh_t|^2 is at least 1e-20.

    mix: U `[F, F]`. hs: tanh states `[B, T, F]`. last: dE/dh_T `[B, F]`.
    """
    slopes = jax.lax.stop_gradient(1 - hs**2)

    def back(gradient: jax.Array, slope: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        before = (gradient * slope) @ mix.T
        square = jnp.sum(gradient**2, -1)
        counts = square >= 1e-20
        ratio = jnp.sum(before**2, -1) / jnp.where(counts, square, 1)
        return jax.lax.stop_gradient(before), (jnp.where(counts, (ratio - 1) ** 2, 0), counts)

    _, (terms, counts) = jax.lax.scan(back, jax.lax.stop_gradient(last), jnp.swapaxes(slopes, 0, 1), reverse=True)
    return jnp.sum(terms) / jnp.maximum(jnp.sum(counts), 1)


if __name__ == "__main__":
    command(main, Config, __doc__)
