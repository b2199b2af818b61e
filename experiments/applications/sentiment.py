"""Many to one: does a review of a film praise it or not?

Expectation: about 86 % of IMDb's test reviews are right after a long training (Dai and Le 2015: 86.5 % for an LSTM
without pretraining), which takes more than counting words: a naive Bayes classifier of the same words is the baseline
(Maas et al. 2011 give 83.9 to 88.9 % for bags of words in several forms). The defaults are a short training.
Only the last words of a review are read, where most reviewers come to their verdict; the answer is read from the mean
of all outputs. Words that are not in the vocabulary are `<unk>`.

    python -m experiments.applications.sentiment --seeds 0 1 2
    python -m experiments.applications.sentiment --model RUN --apply "A moving film, and what a cast!"
"""

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import seqjax as sj
from experiments.applications.apply import application, check_given
from experiments.applications.training import POSITIVE, Sources, Training, fit_and_save
from experiments.harness.cells import cells_of
from experiments.harness.command import check_options
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax import Ragged, batching, datasets, train
from seqjax._internal.types import Array, Num
from seqjax.checkpoint import Model
from seqjax.text import Vocabulary

Part = tuple[Ragged, Num[Array, " n"]]
"""Words of reviews, and whether they praise."""


@dataclass(frozen=True)
class Config(Training):
    """Options of the experiment."""

    cell: tuple[str, ...] = ("GRU(64)",)
    """Cells to compare, between an embedding and a linear readout"""
    words: int = 10_000
    """Of the vocabulary, the most frequent ones"""
    longest: int = 200
    """Words that are read of a review, the last ones"""
    embedding: int = 32
    """Features of a word"""
    dropout: float = 0.5
    """Share of the features of a word, and of the outputs, that a training step does not see"""
    batch_size: int = 64
    """Reviews in a batch"""
    epochs: int = 4
    """Passes through the training reviews"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; the test accuracy is that of the pass with the best validation.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "words", "longest", "embedding", *POSITIVE)
    cells = cells_of(config.cell)
    data = datasets.load("imdb")
    held = [split.hold_out(config.examples)[1] if config.examples else split for split in (data.train, data.test)]
    splits = [*held[0].hold_out(len(held[0]) // 10), held[1]]
    texts = splits[0].inputs.texts()
    words = Vocabulary.words(
        texts, lower=True, punctuation="remove", max_size=config.words, specials=("<pad>", "<unk>")
    )
    parts = [(read(words, split.inputs.texts(), config.longest), split.targets) for split in splits]
    run = Run("sentiment", config, by=("cell",))
    jobs = {repr(cell): functools.partial(study, config, cell, words, data.target_names, parts) for cell in cells}
    return conclude(run, run.work(jobs), "accuracy")


def read(words: Vocabulary, texts: Sequence[str], longest: int) -> Ragged:
    """The last words of texts."""
    return Ragged.of([words.encode(text)[-longest:] for text in texts])


def study(
    config: Config, cell: sj.Cell, words: Vocabulary, classes: Sequence[str], parts: Sequence[Part], folder: Path
) -> Rows:
    """One training."""
    drop = sj.Dropout(config.dropout)
    model = sj.stack(sj.Embed(len(words), config.embedding), drop, cell, sj.MeanPool(), drop, sj.Dense(len(classes)))
    sources = Sources(*(batching.Buckets(*part, config.batch_size, config.seed, buckets=4) for part in parts))
    assets = {"words": words, "classes": list(classes), "longest": config.longest}
    _, found = fit_and_save(folder, model, sources, config, application="sentiment", assets=assets, at="last")
    return [{"cell": repr(cell), "baseline_accuracy": naive_bayes(len(words), parts[0], parts[2])} | found]


def naive_bayes(size: int, seen: Part, new: Part) -> float:
    """The share of new reviews of which the words alone tell the class, by their shares in each class (counts + 1)."""
    counts = np.ones((2, size))
    for words, label in zip(*seen):
        np.add.at(counts[label], words, 1)
    odds = np.diff(np.log(counts / counts.sum(1, keepdims=True)), axis=0)[0]
    return float(np.mean([(odds[words].sum() > 0) == label for words, label in zip(*new)]))


def apply(model: Model, text: str) -> str:
    """The class of a text, how sure the model is, and the words that it did not know."""
    words = model.assets["words"]
    ids = read(words, [check_given(text)], model.assets["longest"])
    if not len(ids[0]):
        raise sj.ArgumentError(f"--apply: there is no word in {text!r}")
    shares = np.asarray(jax.nn.softmax(train.predict(model.cell, model.params, ids)[0]))
    best = int(shares.argmax())
    unknown = f"; {int((ids[0] == words.unknown).sum())} of {len(ids[0])} words are not known"
    return f"{text}: {model.assets['classes'][best]} ({shares[best]:.1%}{unknown})"


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
