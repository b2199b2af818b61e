"""One to many: a line of Shakespeare on a topic.

A recurrent network reads one word, the topic, and then writes a line, word by word, each read as its next input. It is
trained on lines of the works, whose topic is their rarest word.
Expectation: it learns to bring the topic up, so that its guess of the next word is right more often than the most
frequent follower of each word (the baseline). A topic that it does not know is `<unk>` to it, and stands in the line
where it writes `<unk>` (as Luong et al. 2015 put back rare words of a translation).

    python -m experiments.applications.shakespeare --seeds 0 1 2
    python -m experiments.applications.shakespeare --model RUN --apply love crown zeppelin
"""

import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.applications.apply import application, check_given
from experiments.applications.training import POSITIVE, Sources, Training, fit_and_save, follower_share
from experiments.harness.cells import cells_of
from experiments.harness.command import check_options
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax import Ragged, batching, datasets, decode
from seqjax._internal.types import Array, Float, Int, PyTree
from seqjax.checkpoint import Model
from seqjax.decode import History, Strategy
from seqjax.text import Vocabulary

LONGEST = 16
"""Words and marks of a line."""
LINES = 3
"""Lines that are drawn on a topic of one's own."""
TOPICS = 100
"""Topics of which the test looks whether they are in the line."""


@dataclass(frozen=True)
class Config(Training):
    """Options of the experiment."""

    cell: tuple[str, ...] = ("GRU(128)",)
    """Cells to compare, between an embedding and a linear readout"""
    words: int = 3000
    """Of the vocabulary, the most frequent ones"""
    common: int = 70
    """So many of the most frequent words and marks are no topic"""
    embedding: int = 64
    """Features of a word"""
    dropout: float = 0.2
    """Share of the features of a word, and of the outputs, that a training step does not see"""
    batch_size: int = 64
    """Lines in a batch"""
    epochs: int = 2
    """Passes through the training lines"""


def main(config: Config) -> dict[str, Any]:
    """Train each cell; the test accuracy is that of the pass with the best validation.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "words", "embedding", *POSITIVE)
    cells = cells_of(config.cell)
    data = datasets.load("shakespeare")
    lines = [read_lines(split.inputs.text(0))[: config.examples or None] for split in data.splits.values()]
    specials = ("<pad>", "<unk>", "<eos>")
    words = Vocabulary.words(lines[0], lower=True, punctuation="separate", max_size=config.words, specials=specials)
    parts = [with_topics(words, part, config.common) for part in lines]
    run = Run("shakespeare", config, by=("cell",))
    jobs = {repr(cell): functools.partial(study, config, cell, words, parts) for cell in cells}
    return conclude(run, run.work(jobs), "accuracy")


def read_lines(text: str) -> list[str]:
    """What is said: no names in capitals, no stage directions."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if re.search("[a-z]", line) and not re.search(r"[\[\]_]|^[A-Z][A-Z]", line)]


def with_topics(words: Vocabulary, lines: list[str], common: int) -> Ragged:
    """The topic of each line and then the line; the topic is its rarest word, `<unk>` where it has an unknown one.

    Ids are in the order of frequency. Lines without a topic, with several unknown words, and long ones are left out.
    """
    found = []
    for ids in map(functools.partial(words.encode, end=True), lines):
        unknown = int((ids == words.id("<unk>")).sum())
        topic = words.id("<unk>") if unknown else ids.max()
        if 4 <= len(ids) <= LONGEST and unknown <= 1 and (unknown or topic >= common + len(words.specials)):
            found.append(np.concatenate([[topic], ids]).astype(np.int32))
    return Ragged.of(found)


def study(config: Config, cell: sj.Cell, words: Vocabulary, parts: list[Ragged], folder: Path) -> Rows:
    """One training."""
    drop = sj.Dropout(config.dropout)
    model = sj.stack(sj.Embed(len(words), config.embedding), drop, cell, drop, sj.Dense(len(words)))
    sources = Sources(*(batching.Shuffled(part, None, config.batch_size, config.seed, multiple=8) for part in parts))
    params, found = fit_and_save(folder, model, sources, config, application="shakespeare", assets={"words": words})
    topics = np.unique([line[0] for line in parts[2] if line[0] != words.unknown])
    topics = topics[np.random.default_rng(0).permutation(len(topics))[:TOPICS]]
    tokens = write(model, params, words, topics)
    shares = {
        "baseline_accuracy": follower_share(parts[0], parts[2], len(words)),
        "topic_share": float((tokens == topics[:, None]).any(1).mean()),
    }
    return [{"cell": repr(cell)} | shares | found]


def write(
    model: sj.Cell, params: PyTree, words: Vocabulary, topics: Int[Array, " n"], strategy: Strategy = decode.greedy()
) -> Int[np.ndarray, "n L"]:
    """The ids of a line on each topic; `<unk>` stands in lines of unknown topics alone."""
    numbers = np.arange(len(words))[None, None]

    def allow(logits: Float[Array, "B K V"], history: History) -> jax.Array:
        other = history.prompt[:, :1, None] != words.unknown
        return jnp.where((numbers == words.padding) | (other & (numbers == words.unknown)), -jnp.inf, logits)

    end = words.id("<eos>")
    found = decode.generate(
        model.evaluation(), params, topics, steps=LONGEST, stop=end, strategy=strategy, key=jax.random.key(0),
        processors=(allow,),
    )  # fmt: skip
    return np.asarray(found.tokens)


def apply(model: Model, topic: str) -> str:
    """Lines on a topic."""
    words = model.assets["words"]
    ids = words.encode(check_given(topic))
    if len(ids) != 1:
        raise sj.ArgumentError(f"--apply: a topic is one word, found {topic!r}. Several topics? Write them apart")
    found = write(model.cell, model.params, words, np.repeat(ids, LINES), decode.sample(temperature=0.7, top_p=0.9))
    lines = [re.sub(r" (?=[,.;:!?])", "", words.decode(row).replace("\ufffd", topic)) for row in found]
    known = " (not known)" if ids[0] == words.unknown else ""
    return f"{topic}{known}: {' / '.join(lines)}"


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
