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

import jax
import numpy as np
import optax

import seqjax as sj
from experiments.harness.cells import cells_of, match_parameters
from experiments.harness.command import check_options, command
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from experiments.harness.training import fit_unit, init_params
from seqjax import Batch, batching, datasets, losses, train
from seqjax._internal.types import Array, Int, Key, PyTree
from seqjax.text import Vocabulary

MEASURE = "bits_per_character"


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = ("RNN(128)", "GRU(128)", "LSTM(128)")
    """Cells to compare, between an embedding and a linear readout"""
    parameters: int = 100_000
    """Change the widths so that each model has about as many; 0 leaves them"""
    embedding: int = 32
    """Features of a character"""
    batch_size: int = 32
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
    check_options(config, "embedding", "batch_size", "length", "steps", "learning_rate", "clip", "every")
    cells = cells_of(config.cell)
    vocabulary, ids = read_text(config.characters)
    needed = 2 * config.batch_size * config.length
    if (least := min(map(len, ids))) < needed:
        raise sj.ArgumentError(f"characters: a split has {least}, expected at least 2 * batch_size * length = {needed}")
    run = Run("char_lm", config, by=("cell",))
    jobs = {repr(cell): functools.partial(study, config, cell, vocabulary, ids) for cell in cells}
    return conclude(run, run.work(jobs), MEASURE)


def read_text(count: int) -> tuple[Vocabulary, list[Int[Array, " _"]]]:
    """A vocabulary of all characters of Shakespeare, by code point, and the ids of its three splits."""
    texts = [split.inputs.text(0) for split in datasets.load("shakespeare").splits.values()]
    vocabulary = Vocabulary("characters", tuple(sorted(set().union(*texts))))
    return vocabulary, [vocabulary.encode(text[: count or None]) for text in texts]


def study(config: Config, cell: sj.Cell, vocabulary: Vocabulary, ids: list[Int[Array, " _"]], folder: Path) -> Rows:
    """One training."""
    front, last = sj.Embed(len(vocabulary), config.embedding), sj.Dense(len(vocabulary))
    if config.parameters:
        cell = match_parameters(cell, config.parameters, 0, lambda cell: sj.stack(front, cell, last))
    model = sj.stack(front, cell, last)
    loss = functools.partial(nats, model)
    source, valid = (batching.Stream(part, config.batch_size, config.length) for part in ids[:2])
    test = batching.Stream(ids[2], 1, min(2000, len(ids[2]) - 1))

    def bits(params: PyTree, stream: batching.Stream) -> dict[str, float]:
        rows = stream.batch_size
        found = train.evaluate(loss, params, stream, carry=lambda p, key: model.initial_carry(p, (rows,)))
        return {MEASURE: found["loss"] / math.log(2)}

    step = train.make_train_step(
        loss,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, max(config.steps, 1), 0.1)),
        clip=config.clip,
        carry=lambda params, key: model.initial_carry(params, (config.batch_size,)),
        max_skips=config.steps + 1,
    )
    every = min(config.every, config.steps)
    evaluation = train.Evaluation(lambda params: bits(params, valid), every=every, metric=MEASURE)
    state = step.init(init_params(model, 0, config.seed), jax.random.key(config.seed))
    result, columns = fit_unit(
        folder,
        model,
        step,
        state,
        source,
        steps=config.steps,
        in_features=0,
        every=min(100, every),
        evaluation=evaluation,
        assets={"vocabulary": vocabulary},
    )
    baseline = {f"baseline_{MEASURE}": entropy(ids[0], ids[2], len(vocabulary))}
    return [{"cell": repr(cell)} | bits(result.params, test) | baseline | columns]


def entropy(seen: Int[Array, " T"], new: Int[Array, " S"], size: int) -> float:
    """Bits a character of `new` by each character's share in `seen` (counts plus one)."""
    share = (np.bincount(seen, minlength=size) + 1) / (len(seen) + size)
    return float(-np.log2(share[new]).mean())


def nats(
    model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None, carry: PyTree
) -> tuple[train.Mean, PyTree]:
    """Cross-entropy a character in nats, and the carry."""
    carry, logits = sj.scan(model, params, batch.inputs, carry)
    return train.Mean.of(losses.cross_entropy(logits, batch.targets)), carry


if __name__ == "__main__":
    command(main, Config, __doc__)
