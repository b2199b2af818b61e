"""How well do a tanh RNN, a GRU and an LSTM of equal size predict the next chord of real music?

Expectation (Chung et al. 2014, table 2; about 20,000 parameters each, test nats a step): JSB chorales tanh 9.10, GRU
8.54, LSTM 8.67; Nottingham 3.13, 3.23, 3.20. Bai et al. 2018 with 300,000 and 1,000,000: 8.91, 8.43, 8.45 and 4.05,
3.46, 3.29. Chung trained with RMSProp, weight noise 0.075 and a learning rate chosen for each cell; here it is Adam,
one learning rate and noise for all, and the average of the parameters over the updates is evaluated. The widths are
his; with all 88 keys and the readout they make 21,256 (LSTM), 22,812 (GRU) and 27,788 (tanh) parameters. A frame is 88
keys; its nats are summed over the keys and averaged over all predicted frames, those from the second on. Floors: every
key by its share in the training frames (Bernoulli), and by the same key one step before (Markov); a model that is not
below the latter has learned nothing but how long notes last. Long pieces, as Nottingham's, are better read in chunks:
five times the updates for the same frames.

    python -m experiments.polyphonic_music --data nottingham --chunk 50 --batch-size 16 --seeds 0 1 2
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from experiments.harness.cells import cells_of
from experiments.harness.command import check_options, command
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from experiments.harness.training import fit_unit, init_params
from seqjax import Batch, Ragged, batching, datasets, losses, train
from seqjax._internal.types import Array, Key, PyTree
from seqjax.datasets import Dataset

KEYS = 88
MEASURE = "nats_per_frame"
# groups of like length: 4 for pieces of 25 to 129 frames, 16 for 40 to 1,788, where 4 cost twice the time in padding
DATA = {"jsb_chorales": 4, "nottingham": 16}

Source = batching.Buckets | batching.Stream


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    data: str = "jsb_chorales"
    """jsb_chorales or nottingham"""
    cell: tuple[str, ...] = ("RNN(100)", "GRU(46)", "LSTM(36)")
    """Cells to compare"""
    batch_size: int = 8
    """Pieces in a batch"""
    chunk: int = 0
    """Frames of a training batch: pieces are read end to end, and the carry is handed on; 0 reads whole pieces"""
    epochs: int = 150
    """Passes through the training pieces at most"""
    patience: int = 15
    """Epochs without a better validation after which to stop"""
    learning_rate: float = 3e-3
    """Of Adam"""
    final_rate: float = 1.0
    """Share of it that is left at the last update, after half a cosine"""
    transpose: int = 0
    """Each piece is also read up to so many semitones higher and lower"""
    noise: float = 0.1
    """Standard deviation of the noise on the weights in training (Graves 2011)"""
    average: float = 0.99
    """Decay of the average of the parameters over the updates, which is what is evaluated; 0 leaves it out"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    seed: int = 0
    """Of parameters, order and noise"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; the test score is that of the epoch with the best validation.

    Raises:
        ArgumentError: an option out of range, a data set that is no music.
    """
    check_options(config, "batch_size", "epochs", "patience", "learning_rate", "clip")
    if config.data not in DATA:
        raise sj.ArgumentError(f"data must be one of {', '.join(DATA)}, found {config.data!r}")
    if config.final_rate > 1:
        raise sj.ArgumentError(f"final_rate must be at most 1, the whole learning rate, found {config.final_rate}")
    cells = cells_of(config.cell)
    data = datasets.load(config.data)
    source = source_of(config, data.train.inputs)
    run = Run("polyphonic_music", config, by=("data", "cell"))
    jobs = {f"{config.data} {cell!r}": functools.partial(study, config, cell, data, source) for cell in cells}
    note = "floors on the test pieces: Bernoulli {:.2f}, Markov {:.2f} nats a frame".format(*floors(data))
    return conclude(run, run.work(jobs), MEASURE, note)


def study(config: Config, cell: sj.Cell, data: Dataset, source: Source, folder: Path) -> Rows:
    """One training."""
    model = sj.stack(cell, sj.Dense(KEYS))
    score = functools.partial(nats, model)
    valid, test = (
        batching.Buckets(split.inputs, None, 32, buckets=3, shuffle=False) for split in (data.valid, data.test)
    )
    epoch = source.steps_per_epoch
    steps = config.epochs * epoch
    evaluation = train.Evaluation(
        lambda params: {MEASURE: train.evaluate(score, params, valid)["loss"]}, metric=MEASURE, patience=config.patience
    )
    step = step_of(config, model, steps)
    state = step.init(init_params(model, KEYS, config.seed), jax.random.key(config.seed))
    result, columns = fit_unit(
        folder,
        model,
        step,
        state,
        source,
        steps=steps,
        in_features=KEYS,
        every=epoch,
        evaluation=evaluation,
    )
    bernoulli, markov = floors(data)
    found = {"data": config.data, "cell": repr(cell), MEASURE: train.evaluate(score, result.params, test)["loss"]}
    return [found | {f"baseline_{MEASURE}": markov, f"bernoulli_{MEASURE}": bernoulli} | columns]


def step_of(config: Config, model: sj.Cell, steps: int) -> train.TrainStep:
    """The training step: whole pieces, or chunks with the carry handed on."""
    loss = functools.partial(nats_of_chunk if config.chunk else nats, model)
    rate = optax.cosine_decay_schedule(config.learning_rate, steps, config.final_rate)
    return train.make_train_step(
        functools.partial(add_noise, loss, config.noise),
        optax.adam(rate),
        clip=config.clip,
        ema=config.average or None,
        carry=(lambda params, key: model.initial_carry(params, (config.batch_size,))) if config.chunk else None,
        max_skips=steps + 1,
    )


def nats(model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None) -> train.Mean:
    """Nats a frame of the pieces in a batch."""
    _, logits = sj.scan(model, params, batch.inputs.astype(jnp.float32), lengths=batch.lengths)
    return train.Mean.of(losses.sigmoid_binary_cross_entropy(logits, batch.targets), batch.weights)


def source_of(config: Config, pieces: Ragged) -> Source:
    """The batches that train: chunks, or whole pieces with others of like length."""
    pieces = transpose(pieces, config.transpose, config.seed)
    if config.chunk:
        return chunks(pieces, config.batch_size, config.chunk)
    return batching.Buckets(pieces, None, config.batch_size, config.seed, buckets=DATA[config.data])


def transpose(pieces: Ragged, most: int, seed: int) -> Ragged:
    """Each piece in 2 `most` + 1 transpositions, in random order; the pieces themselves for 0.

    Raises:
        ArgumentError: notes would leave the keyboard.
    """
    if most == 0:
        return pieces
    (keys,) = np.nonzero(pieces.values.any(0))
    if (room := int(min(keys[0], KEYS - 1 - keys[-1]))) < most:
        raise sj.ArgumentError(f"transpose: the pieces leave room for {room} semitones, found {most}")
    rng = np.random.default_rng(seed)
    moved = [(piece, by) for piece in pieces for by in range(-most, most + 1)]
    return Ragged.of([np.roll(moved[i][0], moved[i][1], axis=1) for i in rng.permutation(len(moved))])


def chunks(pieces: Ragged, batch_size: int, length: int) -> batching.Stream:
    """All pieces end to end in `batch_size` rows; a last column, after the keys, is 1 in the first frame of each."""
    first = np.zeros((len(pieces.values), 1), pieces.values.dtype)
    first[pieces.offsets[:-1]] = 1
    return batching.Stream(np.concatenate([pieces.values, first], 1), batch_size, length)


def nats_of_chunk(
    model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None, carry: PyTree
) -> tuple[train.Mean, PyTree]:
    """Nats a frame of the pieces in a chunk, each from its second frame on, and the carry."""
    (frames, first), (targets, new) = (
        (part[..., :KEYS].astype(jnp.float32), part[..., KEYS] > 0) for part in (batch.inputs, batch.targets)
    )
    carry, logits = sj.scan(model, params, frames, carry, resets=first)
    return train.Mean.of(losses.sigmoid_binary_cross_entropy(logits, targets), ~new), carry


def add_noise(
    score: Callable[..., PyTree],
    deviation: float,
    params: PyTree,
    batch: Batch,
    key: Key[Array, ""],
    *carry: PyTree,
) -> PyTree:
    """The score with Gaussian noise on all parameters."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves) + 1)
    moved = [leaf + deviation * jax.random.normal(k, leaf.shape, leaf.dtype) for leaf, k in zip(leaves, keys[1:])]
    return score(jax.tree.unflatten(tree, moved), batch, keys[0], *carry)


def floors(data: Dataset) -> tuple[float, float]:
    """Test nats a frame of each key's share in the training frames, and of its two-state Markov chain.

    Shares are counts plus one half over all plus one.
    """
    before, after = _pairs(data.train.inputs)
    test_before, test_after = _pairs(data.test.inputs)
    frames = data.train.inputs.values
    share = (frames.sum(0) + 0.5) / (len(frames) + 1)
    sounded = [(((before == s) & (after == 1)).sum(0) + 0.5) / ((before == s).sum(0) + 1) for s in (0, 1)]
    chain = np.where(test_before == 1, sounded[1], sounded[0])
    bernoulli, markov = (float(-np.log(np.where(test_after == 1, p, 1 - p)).sum(1).mean()) for p in (share, chain))
    return bernoulli, markov


def _pairs(pieces: Ragged) -> tuple[np.ndarray, np.ndarray]:
    """All frames but the last of each piece, and those after them."""
    rolls = [np.asarray(piece) for piece in pieces]
    return np.concatenate([roll[:-1] for roll in rolls]), np.concatenate([roll[1:] for roll in rolls])


if __name__ == "__main__":
    command(main, Config, __doc__)
