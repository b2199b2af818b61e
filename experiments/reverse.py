"""How soon does an LSTM with attention learn to write a list of numbers backwards, and how long may the list be?

The first task of JoeyNMT's tutorial (Kreutzer et al. 2019, docs/source/tutorial.rst of its version 2.3): integers from
0 to 49, lists of 1 to 25 of them in training and of 1 to 30 in the development and test set, read by a bidirectional
LSTM(64) and written by an LSTM(64) with Luong's "general" attention and input feeding. Expectation: greedy BLEU on the
development set as in their log, 22.5, 57.3, 83.4 and 89.8 after 1 to 4 thousand updates, 95.4 at best, 95.2 on the
test set. As there: batches of 12 pairs, two of which make an update, 40,000 pairs an epoch (so their log says; the
config in their repository has batches of 10), embeddings of 16 from N(0, 0.1^2), dropout 0.1 before each LSTM and
before the attention vector, zeros as the decoder's first state, AdamW with 1e-3, the loss summed over tokens and
divided by the pairs, its gradient clipped at norm 1.

Then lists longer than those of training, whose places the attention has never been asked for: exact match by length.
What differs: dropout before the attention vector is that of the decoder's output alone, not of the context; forget
gates begin with a bias of 1, there with 0; the readout has a bias; every seed has its own lists.

    python -m experiments.reverse
    python -m experiments.reverse --members 1 --steps 4000
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from experiments.harness import members, pairs
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from experiments.harness.training import fit_unit, init_params
from seqjax import Batch, Ragged, batching, metrics, plot, train
from seqjax._internal.types import Array, Int, Key, PyTree
from seqjax.initializers import normal
from seqjax.seq2seq import EncoderDecoder, attend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERS = pairs.Strings("reverse", 50, 25)
HELD_OUT = 30
"""Length of the longest list of the development and test set, and of the longest answer to them"""
PUBLISHED = {1000: 22.52, 2000: 57.30, 3000: 83.39, 4000: 89.83, 5000: 89.38}
"""Steps, and BLEU on the development set"""
PUBLISHED_BEST, PUBLISHED_TEST = 95.42, 95.19
POSITIVE = ("pairs", "held_out", "every", "lengths", "evaluation", *members.POSITIVE)


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    steps: int = 5000
    """Updates"""
    batch_size: int = 24
    """Pairs of an update"""
    learning_rate: float = 1e-3
    """Of AdamW without decay"""
    dropout: float = 0.1
    """Rate of what is dropped"""
    pairs: int = 40_000
    """Pairs to train on"""
    held_out: int = 1000
    """Pairs of the development set, and of the test set"""
    every: int = 1000
    """Updates from one evaluation on the development set to the next"""
    lengths: tuple[int, ...] = (5, 10, 15, 20, 25, 30, 35, 40, 50, 60)
    """Lengths of the lists at the end"""
    evaluation: int = 200
    """Fresh lists of each of these lengths"""


def main(config: Config) -> dict[str, Any]:
    """Train each member; table and figures are also in the run folder.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, *POSITIVE)
    run = Run("reverse", config, by=("order",))
    jobs = {f"seed {seed}": functools.partial(study, config, seed) for seed in config.seeds}
    rows = run.work(jobs)
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {"bleu": figure(rows), "exact_match": figure_by_length(rows)})
    summary = {"by": list(run.by), "measure": "bleu", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def model_of(dropout: float) -> EncoderDecoder:
    """The tutorial's model: 52 tokens where theirs has four of its own, so it is 50 numbers wide at both ends."""
    size, table = NUMBERS.vocabulary, normal(0.1)
    encoder = sj.stack(sj.Embed(size, 16, kernel_init=table), sj.Dropout(dropout), sj.bidirectional(sj.LSTM(64)))
    inner = sj.stack(sj.Dropout(dropout), sj.LSTM(64), sj.Dropout(dropout))
    attending = attend(inner, score="general", feed="after", start="zeros")
    decoder = sj.stack(sj.Embed(size, 16, kernel_init=table), attending, sj.Dense(size))
    return EncoderDecoder(encoder, decoder, begin=NUMBERS.begin)


def make_data(config: Config, seed: int) -> tuple[batching.Shuffled, batching.Shuffled, batching.Shuffled]:
    """Pairs for training, development and test, as the script of the tutorial draws them."""
    rng = np.random.default_rng(seed)

    def part(count: int, longest: int, batch_size: int) -> batching.Shuffled:
        lists = [rng.integers(0, NUMBERS.symbols, rng.integers(1, longest + 1)) for _ in range(count)]
        sources, targets = (
            Ragged.of([np.append(each, NUMBERS.end).astype(np.int32) for each in these])
            for these in (lists, [each[::-1] for each in lists])
        )
        size, shuffle = min(batch_size, count), longest == NUMBERS.longest
        return batching.Shuffled(sources, targets, size, seed, pairs=True, shuffle=shuffle, length=longest + 1,
                                 target_length=longest + 1)  # fmt: skip

    training = part(config.pairs, NUMBERS.longest, config.batch_size)
    return training, part(config.held_out, HELD_OUT, 250), part(config.held_out, HELD_OUT, 250)


def study(config: Config, seed: int, folder: Path) -> Rows:
    """One training."""
    model = model_of(config.dropout)
    training, dev, test = make_data(config, seed)
    step = train.make_train_step(
        functools.partial(per_pair, model),
        optax.adam(config.learning_rate),
        clip=config.clip,
        max_skips=config.steps + 1,
    )
    every = min(config.every, config.steps)
    evaluation = train.Evaluation(
        lambda params: {"bleu": bleu(model, params, dev)}, every=every, metric="bleu", higher_is_better=True
    )
    state = step.init(init_params(model, 0, seed), jax.random.key(seed))
    result, columns = fit_unit(
        folder,
        model,
        step,
        state,
        training,
        in_features=0,
        steps=config.steps,
        every=min(100, every),
        evaluation=evaluation,
    )
    curve = {row["step"]: row["evaluation/bleu"] for row in result.history if "evaluation/bleu" in row}
    row: Row = {"order": NUMBERS.order, "seed": seed, "bleu": bleu(model, result.params, test)}
    row |= {f"dev_bleu_{at}": value for at, value in curve.items()}
    found = pairs.by_length(model, result.params, NUMBERS, config.lengths, config.evaluation, seed + 2_000_000)
    row |= {f"exact_match_{size}": whole for size, (whole, _) in found.items()}
    row |= {f"token_accuracy_{size}": each for size, (_, each) in found.items()}
    return [row | {"published_bleu": PUBLISHED_TEST, "published_dev_bleu": PUBLISHED_BEST} | columns]


def per_pair(model: EncoderDecoder, params: PyTree, batch: Batch, key: Key[Array, ""] | None) -> train.Mean:
    """Cross-entropy in nats, summed over the tokens of a pair, whose gradient is nearly always longer than the clip."""
    return train.Mean(pairs.nats(model, params, batch, key).total, jnp.sum(batch.lengths > 0))


def bleu(model: EncoderDecoder, params: PyTree, source: batching.Shuffled) -> float:
    """Of greedy answers as they are printed, numbers with spaces between."""
    written, wanted = [], []
    for step in range(source.steps_per_epoch):
        batch = source.batch(step)
        tokens = np.asarray(pairs.answers(model, params, batch, HELD_OUT, NUMBERS.end))
        real = batch.lengths > 0
        written += [in_words(row) for row in tokens[real]]
        wanted += [in_words(row) for row in batch.targets[real]]
    return metrics.bleu(written, wanted).value


def in_words(tokens: Int[np.ndarray, " L"]) -> str:
    """Numbers up to the end token."""
    numbers = tokens.tolist()
    stop = numbers.index(NUMBERS.end) if NUMBERS.end in numbers else len(numbers)
    return " ".join(str(number) for number in numbers[:stop])


def figure(rows: Rows) -> "Figure":
    """BLEU on the development set over training, beside the published one."""
    published = [(float(at), value, math.nan) for at, value in PUBLISHED.items()]
    lines = {f"here, {len(rows)} seeds": points(rows, "dev_bleu_"), "JoeyNMT's log": published}
    return plot.trend(lines, "updates", "BLEU of greedy answers", "Numbers written backwards", bounds=(0, 100))


def figure_by_length(rows: Rows) -> "Figure":
    """What is right by the length of the list; lists of more than 25 numbers are longer than all of training."""
    lines = {"whole lists": points(rows, "exact_match_"), "numbers": points(rows, "token_accuracy_")}
    return plot.trend(
        lines, "numbers in the list", "share that is right", f"Trained up to {NUMBERS.longest}", bounds=(0, 1)
    )


def points(rows: Rows, prefix: str) -> list[tuple[float, float, float]]:
    """Mean and interval over the rows of the columns that begin so and end with a number."""
    places = sorted(int(name.removeprefix(prefix)) for name in rows[0] if name.startswith(prefix))
    return [(at, *interval([float(row[f"{prefix}{at}"]) for row in rows])) for at in places]


if __name__ == "__main__":
    command(main, Config, __doc__)
