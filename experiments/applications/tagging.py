"""Many to many, aligned: which part of speech is each word of a sentence?

Expectation: a bidirectional LSTM, trained long enough, tags more words of Brown rightly than the most frequent tag of
each word does, which is right for about nine in ten (Jurafsky and Martin: 92 % of the Wall Street Journal), and sooner
so for words that it has never seen, which it can tell by their surroundings alone. The tags are all 472 of the corpus.
Words that occur once in the training sentences are `<unk>` there, so that the model learns what unknown words do.

    python -m experiments.applications.tagging --seeds 0 1 2
    python -m experiments.applications.tagging --model RUN --apply "They can fish where the flumps are ."
"""

import functools
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import seqjax as sj
from experiments.applications.apply import application, check_given
from experiments.applications.training import POSITIVE, Sources, Training, fit_and_save, most_frequent
from experiments.harness.command import check_options
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax import Ragged, batching, datasets, train
from seqjax.checkpoint import Model
from seqjax.text import Vocabulary


@dataclass(frozen=True)
class Config(Training):
    """Options of the experiment."""

    cell: tuple[str, ...] = ("bidirectional(LSTM(64))",)
    """Cells to compare, between an embedding and a linear readout"""
    embedding: int = 64
    """Features of a word"""
    dropout: float = 0.3
    """Share of the features of a word, and of the outputs, that a training step does not see"""
    batch_size: int = 32
    """Sentences in a batch"""
    epochs: int = 10
    """Passes through the training sentences"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; the test accuracy is that of the pass with the best validation.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "embedding", *POSITIVE)
    cells = [sj.cell_from_text(text) for text in config.cell]
    data = datasets.load("brown")
    splits = [split[: config.examples or None] for split in (data.train, data.valid, data.test)]
    counts = np.bincount(splits[0].inputs.values, minlength=len(data.input_names))
    kept = np.flatnonzero((counts > 1) & (np.arange(len(counts)) > 0))  # 0 is `<unk>`
    words = Vocabulary("words", tuple(data.input_names[i] for i in kept), ("<pad>", "<unk>"))
    table = np.full(len(counts), words.unknown, np.int32)
    table[kept] = np.arange(len(kept)) + len(words.specials)
    parts = [(Ragged(table[split.inputs.values], split.inputs.offsets), split.targets) for split in splits]
    run = Run("tagging", config, by=("cell",))
    jobs = {repr(cell): functools.partial(study, config, cell, words, data.target_names, parts) for cell in cells}
    return conclude(run, run.work(jobs), "accuracy")


def study(
    config: Config,
    cell: sj.Cell,
    words: Vocabulary,
    tags: Sequence[str],
    parts: Sequence[tuple[Ragged, Ragged]],
    folder: Path,
) -> Rows:
    """One training, and the share of unknown words that are right beside that of all."""
    drop = sj.Dropout(config.dropout)
    model = sj.stack(sj.Embed(len(words), config.embedding), drop, cell, drop, sj.Dense(len(tags)))
    sources = Sources(*(batching.Buckets(*part, config.batch_size, config.seed, buckets=6) for part in parts))
    assets = {"words": words, "tags": list(tags)}
    params, found = fit_and_save(folder, model, sources, config, application="tagging", assets=assets)
    (seen, seen_tags), (new, new_tags) = parts[0], parts[2]
    unknown = new.values == words.unknown
    guesses = most_frequent(seen.values, seen_tags.values, len(words))[new.values]
    answers = np.concatenate([row.argmax(-1) for row in train.predict(model, params, new, at="each")])
    floors = {
        "baseline_accuracy": guesses == new_tags.values,
        "baseline_unknown_accuracy": (guesses == new_tags.values)[unknown],
    }
    unknown_found = {"unknown_accuracy": (answers == new_tags.values)[unknown], "unknown_share": unknown}
    means = {name: float(np.mean(right)) for name, right in (floors | unknown_found).items()}
    return [{"cell": repr(cell)} | means | found]


def cut(text: str) -> list[str]:
    """The words and marks of a text, as Brown has them: quotation marks `` and '', the dash --."""
    text = re.sub(r'"(?=\w)', " `` ", text).replace('"', " '' ").replace("—", " -- ")
    return re.findall(r"``|''|--|\b(?:Mrs|Mr|Dr|St|[A-Z](?:\.[A-Z])*)\.|\w+(?:['.,-]\w+)*|[^\w\s]", text)


def apply(model: Model, text: str) -> str:
    """Each word with its tag; unknown words are marked."""
    words, tags = model.assets["words"], model.assets["tags"]
    tokens = cut(check_given(text).replace("’", "'"))
    ids = words.encode(" ".join(tokens))
    best = train.predict(model.cell, model.params, [ids], at="each")[0].argmax(-1)
    marks = ["*" if i == words.unknown else "" for i in ids]
    return " ".join(f"{token}{mark}/{tags[tag]}" for token, mark, tag in zip(tokens, marks, best))


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
