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
from experiments.common import Rows, Run, check_options, command
from experiments.compare import conclude
from experiments.training import trained
from seqjax import batching, losses, tasks, train

METHODS = ("SGD", "SGD-C", "SGD-CR")
INPUTS = 6
SOLVED = 0.01


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    lengths: tuple[int, ...] = (50, 100)
    """Steps of a sequence"""
    methods: tuple[str, ...] = METHODS
    """SGD alone, with clipping (SGD-C), with clipping and regulariser (SGD-CR)"""
    steps: int = 100_000
    """Updates at most; a run that has solved the task ends"""
    units: int = 50
    """Width of the RNN"""
    batch: int = 20
    """Sequences in a batch"""
    learning_rate: float = 0.01
    """Of SGD"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    regulariser: float = 4.0
    """Weight of the regulariser"""
    every: int = 2000
    """Updates from evaluation to evaluation"""
    evaluation: int = 10_000
    """Fresh sequences of an evaluation"""
    seed: int = 0
    """Of parameters and sequences"""


def main(config: Config) -> dict[str, Any]:
    """Train for each length and method; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, a method that is not known, or a length that is too short.
    """
    check_options(config, "steps", "units", "batch", "learning_rate", "clip", "every", "evaluation")
    for method in config.methods:
        if method not in METHODS:
            raise sj.ArgumentError(f"methods must be of {', '.join(METHODS)}, found {method!r}")
    for length in config.lengths:
        tasks.temporal_order.baseline(length)
    run = Run("temporal_order", config, by=("length", "method"))
    jobs = {
        f"{method} T={length}": functools.partial(study, config, method, length)
        for length, method in itertools.product(config.lengths, config.methods)
    }
    return conclude(run, run.work(jobs), "wrong", trend=("length", "solved"))


def study(config: Config, method: str, length: int, folder: Path) -> Rows:
    """One training."""
    model = sj.stack(sj.RNN(config.units), sj.Dense(4))
    regularised = config.regulariser if method == "SGD-CR" else 0.0
    score = functools.partial(measured, model, 0.0)
    size = min(1000, config.evaluation)
    valid, test = (
        batching.Synthetic(functools.partial(sequences, size, length), seed=seed + config.seed)
        for seed in (1_000_000, 2_000_000)
    )

    def evaluate(params: Any, fresh: batching.Synthetic = valid) -> dict[str, float]:
        found = train.evaluate(score, params, fresh, steps=-(-config.evaluation // size))
        weights = np.asarray(params["0"]["mix"]["kernel"])
        return {"wrong": found["wrong"], "radius": float(np.abs(np.linalg.eigvals(weights)).max())}

    result, columns = trained(
        folder,
        model,
        functools.partial(measured, model, regularised),
        batching.Synthetic(functools.partial(sequences, config.batch, length), seed=config.seed),
        steps=config.steps,
        seed=config.seed,
        rate=config.learning_rate,
        optimizer=optax.sgd(config.learning_rate),
        params=smart_tanh(config.units, config.seed),
        clip=None if method == "SGD" else config.clip,
        every=min(config.every, config.steps),
        evaluation=train.Evaluation(evaluate, metric="wrong", target=SOLVED - 1e-9),
    )
    norms = [row["norm"] for row in result.history if "norm" in row and "partial" not in row]
    solved = columns["valid"] is not None and columns["valid"] < SOLVED
    found = {"length": length, "method": method, "wrong": evaluate(result.params, test)["wrong"]}
    return [found | {"solved": solved, "largest mean norm": max(norms), "baseline": 0.75} | columns]


def sequences(batch: int, length: int, key: jax.Array) -> Any:
    """Sequences of the task as one-hot vectors."""
    drawn = tasks.temporal_order.sample(key, batch, length)
    return drawn._replace(inputs=jax.nn.one_hot(drawn.inputs, INPUTS))


def smart_tanh(units: int, seed: int) -> Any:
    """The paper's start: N(0, 0.01^2), 15 weights a unit, scaled to a spectral radius of 0.95; biases 0.

    The authors' code keeps 15 in each row, the weights to which a unit feeds; so does this.
    """
    rng = np.random.default_rng(seed)
    kernel, mix, readout = (rng.normal(0, 0.01, shape) for shape in ((INPUTS, units), (units, units), (units, 4)))
    for row in mix:
        row[rng.permutation(units)[15:]] = 0
    mix *= 0.95 / np.abs(np.linalg.eigvals(mix)).max()
    params = {
        "0": {"project": {"kernel": kernel, "bias": np.zeros(units)}, "mix": {"kernel": mix}},
        "1": {"kernel": readout, "bias": np.zeros(4)},
    }
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)


def measured(model: Any, weight: float, params: Any, batch: Any, key: Any) -> Any:
    """Cross-entropy at the last step and `weight` times the regulariser; the share of sequences that are wrong."""
    cell, readout = model.cells
    _, hs = sj.scan(cell, params["0"], batch.inputs)
    answers = batch.targets[:, -1]

    def error(last: jax.Array) -> jax.Array:
        return jnp.mean(losses.cross_entropy(readout.apply(params["1"], last), answers))

    wrong = train.Mean.of(1 - losses.accuracy(readout.apply(params["1"], hs[:, -1]), answers))
    value = error(hs[:, -1])
    if weight:
        value += weight * regulariser(params["0"]["mix"]["kernel"], hs, jax.grad(error)(hs[:, -1]))
    return train.Mean(value * len(answers), jnp.asarray(len(answers))), {"wrong": wrong}


def regulariser(mix: jax.Array, hs: jax.Array, last: jax.Array) -> jax.Array:
    """Omega: how far the norm of dE/dh_t changes from step to step, a mean over steps and examples.

    Omega_t = (|dE/dh_t diag(1 - h_t^2) U'|^2 / |dE/dh_t|^2 - 1)^2, whose gradient is taken with respect to U alone,
    with h and dE/dh as constants (equations 9 and 10 of the paper). The paper writes a sum over steps; its code, and
    this, takes the mean over steps and examples whose |dE/dh_t|^2 is at least 1e-20.

    mix: U `[F, F]`. hs: tanh states `[B, T, F]`. last: dE/dh_T `[B, F]`.
    """
    slopes = jax.lax.stop_gradient(1 - hs**2)

    def back(gradient: jax.Array, slope: jax.Array) -> Any:
        before = (gradient * slope) @ mix.T
        square = jnp.sum(gradient**2, -1)
        counts = square >= 1e-20
        ratio = jnp.sum(before**2, -1) / jnp.where(counts, square, 1)
        return jax.lax.stop_gradient(before), (jnp.where(counts, (ratio - 1) ** 2, 0), counts)

    _, (terms, counts) = jax.lax.scan(back, jax.lax.stop_gradient(last), jnp.swapaxes(slopes, 0, 1), reverse=True)
    return jnp.sum(terms) / jnp.maximum(jnp.sum(counts), 1)


if __name__ == "__main__":
    command(main, Config, __doc__)
