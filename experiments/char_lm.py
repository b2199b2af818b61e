"""How many bits a character do an RNN, a GRU and an LSTM of equal size need for Shakespeare?

Expectation: gated cells below the tanh RNN (Bai et al. 2018 on PTB, 3 million parameters: LSTM 1.36, GRU 1.37, RNN
1.48 bits; here the models and the text are small). The text is read in contiguous rows with the carry handed on
(truncated backpropagation). The test score is exact but for up to 2,000 characters at the end: the last twentieth of
the works, read once in one piece.

    python -m experiments.char_lm --seeds 0 1 2
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optax

import seqjax as sj
from experiments.common import Rows, Run, check_options, command
from experiments.compare import conclude
from experiments.training import cells_of, matched, trained
from seqjax import batching, datasets, losses, train


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = ("RNN(128)", "GRU(128)", "LSTM(128)")
    """Cells to compare, between an embedding and a linear readout"""
    parameters: int = 100_000
    """Change the widths so that each model has about as many; 0 leaves them"""
    embedding: int = 32
    """Features of a character"""
    batch: int = 32
    """Rows of the stream"""
    length: int = 100
    """Steps of a row in a batch, which gradients reach back"""
    steps: int = 4000
    """Updates"""
    learning_rate: float = 3e-3
    """Of Adam, at the start; it falls to a tenth along a cosine"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    every: int = 500
    """Updates from evaluation to evaluation"""
    characters: int = 0
    """Read only so many of each split; 0 takes all"""
    seed: int = 0
    """Of parameters"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; the test score is that of the evaluation with the best validation.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "embedding", "batch", "length", "steps", "learning_rate", "clip", "every")
    cells = cells_of(config.cell)
    ids, size = characters(config.characters)
    if (least := min(map(len, ids))) < 2 * config.batch * config.length:
        needed = 2 * config.batch * config.length
        raise sj.ArgumentError(f"characters: a split has {least}, expected at least 2 * batch * length = {needed}")
    run = Run("char_lm", config, by=("cell",))
    jobs = {repr(cell): functools.partial(study, config, cell, ids, size) for cell in cells}
    return conclude(run, run.work(jobs), "bits")


def characters(count: int) -> tuple[list[np.ndarray], int]:
    """The three splits of Shakespeare as numbers of characters, and how many characters there are."""
    parts = [split.inputs.values for split in datasets.load("shakespeare").splits.values()]
    alphabet = np.unique(np.concatenate(parts))
    return [np.searchsorted(alphabet, part[: count or None]).astype(np.int32) for part in parts], len(alphabet)


def study(config: Config, cell: sj.Cell, ids: list[np.ndarray], size: int, folder: Path) -> Rows:
    """One training."""
    front, last = sj.Embed(size, config.embedding), sj.Dense(size)
    if config.parameters:
        cell = matched(cell, config.parameters, 0, lambda cell: sj.stack(front, cell, last))
    model = sj.stack(front, cell, last)
    loss = functools.partial(nats, model)
    source = batching.Stream(ids[0], config.batch, config.length)
    valid = batching.Stream(ids[1], config.batch, config.length)
    test = batching.Stream(ids[2], 1, min(2000, len(ids[2]) - 1))

    def bits(params: Any, stream: batching.Stream) -> dict[str, float]:
        rows = stream.batch_size
        found = train.evaluate(loss, params, stream, carry=lambda p, key: model.initial_carry(p, (rows,)))
        return {"bits": found["loss"] / math.log(2)}

    result, columns = trained(
        folder,
        model,
        loss,
        source,
        steps=config.steps,
        seed=config.seed,
        rate=config.learning_rate,
        optimizer=optax.adam(optax.cosine_decay_schedule(config.learning_rate, max(config.steps, 1), 0.1)),
        clip=config.clip,
        carry=lambda params, key: model.initial_carry(params, (config.batch,)),
        every=min(100, config.every, config.steps),
        evaluation=train.Evaluation(
            lambda params: bits(params, valid), every=min(config.every, config.steps), metric="bits"
        ),
    )
    baseline = entropy(ids[0], ids[2], size)
    return [{"cell": repr(cell)} | bits(result.params, test) | {"baseline": baseline} | columns]


def entropy(seen: np.ndarray, new: np.ndarray, size: int) -> float:
    """Bits a character of `new` by each character's share in `seen` (counts plus one)."""
    share = (np.bincount(seen, minlength=size) + 1) / (len(seen) + size)
    return float(-np.log2(share[new]).mean())


def nats(model: sj.Cell, params: Any, batch: Any, key: Any, carry: Any) -> Any:
    """Cross-entropy a character in nats, and the carry."""
    carry, logits = sj.scan(model, params, batch.inputs, carry)
    return train.Mean.of(losses.cross_entropy(logits, batch.targets)), carry


if __name__ == "__main__":
    command(main, Config, __doc__)
