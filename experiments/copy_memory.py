"""What does it take to remember ten symbols over a long delay: the copying memory problem.

Expectation: without memory the best answer costs 10 ln 8 / (delay + 20) nats a step (Arjovsky et al. 2016). A tanh RNN
and an LSTM with forget bias 1 sit at that line; biases that make the gates' time constants as long as the delay
(chrono(T), T about 3/2 of the delay, Tallec and Ollivier 2018) take the LSTM below it, and so does an RNN without
nonlinearity that starts orthogonal (Henaff et al. 2016).

    python -m experiments.copy_memory --seeds 0 1 2
    python -m experiments.copy_memory --delay 200 --cell "LSTM(64)" "LSTM(64, bias_init=chrono(300))"
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import seqjax as sj
from experiments.common import Rows, Run, check_options, command
from experiments.compare import conclude
from experiments.training import cells_of, first_below, trained
from seqjax import batching, losses, tasks, train

SYMBOLS = 10
SHARE = 0.1  # of the baseline: solved


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = (
        "RNN(64)",
        "RNN(64, activation='identity')",
        "GRU(64)",
        "LSTM(64)",
        "LSTM(64, bias_init=chrono(150))",
    )
    """Cells to compare, each with a linear readout"""
    delay: int = 100
    """Steps between the last symbol to remember and the first to recall"""
    steps: int = 4000
    """Updates at most; a run that has solved the task ends"""
    batch: int = 32
    """Sequences in a batch, fresh ones each time"""
    learning_rate: float = 1e-3
    """Of Adam"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    every: int = 250
    """Updates from evaluation to evaluation"""
    evaluation: int = 1000
    """Fresh sequences of an evaluation"""
    seed: int = 0
    """Of parameters and sequences"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, a delay below 1.
    """
    check_options(config, "steps", "batch", "learning_rate", "clip", "every", "evaluation")
    cells = cells_of(config.cell)
    tasks.copy_memory.baseline(config.delay + 20)
    run = Run("copy_memory", config, by=("delay", "cell"))
    jobs = {f"{cell!r} delay={config.delay}": functools.partial(study, config, cell) for cell in cells}
    return conclude(run, run.work(jobs), "nats")


def study(config: Config, cell: sj.Cell, folder: Path) -> Rows:
    """One training."""
    task, length = tasks.copy_memory, config.delay + 20
    baseline = task.baseline(length)
    model = sj.stack(cell, sj.Dense(task.out_features))
    loss = functools.partial(nats, model)

    def source(batch: int, seed: int) -> batching.Synthetic:
        return batching.Synthetic(functools.partial(sequences, batch, length), seed=seed)

    size = min(500, config.evaluation)
    valid, test = (source(size, seed + config.seed) for seed in (1_000_000, 2_000_000))

    def mean_nats(params: Any, fresh: batching.Synthetic) -> dict[str, float]:
        return {"nats": train.evaluate(loss, params, fresh, steps=-(-config.evaluation // size))["loss"]}

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
        evaluation=train.Evaluation(lambda params: mean_nats(params, valid), metric="nats", target=SHARE * baseline),
    )
    found = {"delay": config.delay, "cell": repr(cell)} | mean_nats(result.params, test)
    found |= {"solved": columns["valid"] is not None and columns["valid"] <= SHARE * baseline}
    reached = {"below half at": first_below(result.history, "nats", baseline / 2)}
    return [found | reached | {"baseline": baseline} | columns]


def sequences(batch: int, length: int, key: jax.Array) -> Any:
    """Sequences of the task as one-hot vectors: `[B, T, 10]`."""
    drawn = tasks.copy_memory.sample(key, batch, length)
    return drawn._replace(inputs=jax.nn.one_hot(drawn.inputs, SYMBOLS, dtype=jnp.float32))


def nats(model: sj.Cell, params: Any, batch: Any, key: Any) -> train.Mean:
    """Nats a step."""
    _, logits = sj.scan(model, params, batch.inputs)
    return train.Mean.of(losses.cross_entropy(logits, batch.targets), batch.weights)


if __name__ == "__main__":
    command(main, Config, __doc__)
