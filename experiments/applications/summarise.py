"""Many to many, of another length: what is a package, in one line?

The maintainers of Debian's packages describe each in some paragraphs, and sum it up in one line. A bidirectional GRU
reads the first words of the description; another one that attends to them writes the line word by word, or copies a
word of the description (pointer-generator, See et al. 2017). So names and rare words, which the vocabulary has not, can
stand in the line too.
Expectation: it does better than the most frequent follower of each word (the baseline of its accuracy), and than the
first words of the description (that of its lines), which is where the news is; but it gets the kind of package more
often than what the package is for. Lines are written in small letters.

    python -m experiments.applications.summarise --seeds 0 1 2
    python -m experiments.applications.summarise --model RUN --apply "flump is a small tool that sorts photographs."
"""

import functools
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.applications.apply import application, check_given
from experiments.applications.training import POSITIVE, Sources, Training, fit_and_save, follower_share
from experiments.harness.command import check_options
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax import Ragged, batching, datasets, decode, metrics
from seqjax._internal.types import Array, Float, Int, PyTree
from seqjax.checkpoint import Model
from seqjax.decode import History
from seqjax.seq2seq import EncoderDecoder, attend, copying
from seqjax.text import Vocabulary
from seqjax.text.words import split_words

LONGEST = 16
"""Words and marks of a line, with its end."""


@dataclass(frozen=True)
class Config(Training):
    """Options of the experiment."""

    score: tuple[str, ...] = ("additive",)
    """How the writer attends to the description, as in `seqjax.seq2seq.attend`"""
    words: int = 4000
    """Of the vocabulary, the most frequent ones"""
    extra: int = 30
    """So many other words of a description can be copied"""
    longest: int = 60
    """Words and marks of a description that are read, the first ones"""
    width: int = 96
    """Features of a word and of the writer"""
    dropout: float = 0.1
    """Share of the features of a word that a training step does not see"""
    written: int = 500
    """Lines that are written for the test"""
    epochs: int = 3
    """Passes through the training texts"""


class Texts(NamedTuple):
    """Descriptions and lines of a part, as ids."""

    sources: Ragged
    lines: Ragged


class Coder(NamedTuple):
    """Words as ids: those of the vocabulary, and after them the other words of the description at hand.

    words: the vocabulary.  extra: how many others there can be; any more are `<unk>`.  longest: words that are read.
    """

    words: Vocabulary
    extra: int
    longest: int

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.words) + self.extra

    def split(self, text: str) -> list[str]:
        """The words and marks of a text."""
        return split_words(text, self.words.lower, self.words.punctuation)

    def others(self, source: str) -> list[str]:
        """The words of a description that the vocabulary has not, in their order."""
        tokens = self.split(source)[: self.longest]
        others = dict.fromkeys(token for token in tokens if self.words.id(token) == self.words.unknown)
        return list(others)[: self.extra]

    def encode(self, tokens: Sequence[str], others: Sequence[str]) -> Int[np.ndarray, " T"]:
        """The ids of words."""
        found = {word: len(self.words) + i for i, word in enumerate(others)}
        return np.array([found.get(token, self.words.id(token)) for token in tokens], np.int32)

    def decode(self, ids: Int[Array, " T"], others: Sequence[str]) -> list[str]:
        """The words of a line, up to its end."""
        names = [*self.words.specials, *self.words.tokens, *others]
        return [names[i] for i in ids if i >= len(self.words.specials)]

    def read(self, sources: Sequence[str], lines: Sequence[str]) -> Texts:
        """Both, as ids."""
        pairs = []
        for source, line in zip(sources, lines):
            others, tokens = self.others(source), self.split(line)[: LONGEST - 1]
            ids = np.append(self.encode(tokens, others), self.words.id("<eos>")).astype(np.int32)
            pairs.append((self.encode(self.split(source)[: self.longest], others), ids))
        return Texts(Ragged.of(source for source, _ in pairs), Ragged.of(line for _, line in pairs))


def main(config: Config) -> dict[str, Any]:
    """Train a model with each score; the test accuracy is that of the pass with the best validation.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "words", "longest", "width", "written", *POSITIVE)
    data = datasets.load("debian_summaries")
    splits = [split[: config.examples or None] for split in data.splits.values()]
    texts = [(split.inputs.texts(), split.targets.texts()) for split in splits]
    known = [*texts[0][0], *texts[0][1]]
    specials = ("<pad>", "<unk>", "<bos>", "<eos>")
    words = Vocabulary.words(known, lower=True, punctuation="separate", max_size=config.words, specials=specials)
    coder = Coder(words, config.extra, config.longest)
    parts = [coder.read(*part) for part in texts]
    test = [part[: config.written] for part in texts[2]]
    run = Run("summarise", config, by=("score",))
    jobs = {score: functools.partial(study, config, score, coder, parts, test) for score in config.score}
    return conclude(run, run.work(jobs), "accuracy")


def study(
    config: Config, score: str, coder: Coder, parts: Sequence[Texts], test: Sequence[Sequence[str]], folder: Path
) -> Rows:
    """One training, and lines of texts that are new."""
    model = build(config, score, coder)
    sources = Sources(*(batching.Shuffled(*part, config.batch_size, config.seed, pairs=True) for part in parts))
    assets = {"words": coder.words, "extra": coder.extra, "longest": coder.longest}
    params, found = fit_and_save(folder, model, sources, config, application="summarise", assets=assets)
    seen, new = (Ragged.of([np.append(model.begin, line) for line in part.lines]) for part in (parts[0], parts[2]))
    descriptions, lines = test
    written = write(model, params, coder, descriptions)
    wanted = [coder.split(line) for line in lines]
    count = round(np.mean([len(line) for line in wanted]))
    first = [coder.split(text)[:count] for text in descriptions]
    row = {"score": score, "baseline_accuracy": follower_share(seen, new, coder.size)}
    row |= likeness(written, wanted) | {f"baseline_{k}": v for k, v in likeness(first, wanted).items()}
    known = set(coder.words.tokens)
    row["copied_share"] = sum(word not in known for line in written for word in line) / max(1, sum(map(len, written)))
    return [row | found]


def build(config: Config, score: str, coder: Coder) -> EncoderDecoder:
    """A reader, and a writer that looks back and copies."""
    width, drop = config.width, sj.Dropout(config.dropout)
    reader = sj.stack(sj.Embed(coder.size, width), drop, sj.bidirectional(sj.GRU(width // 2)))
    writer = sj.stack(sj.Embed(coder.size, width), drop, attend(sj.GRU(width), score))
    return EncoderDecoder(reader, copying(writer, len(coder.words), coder.extra), begin=coder.words.id("<bos>"))


def write(model: sj.Cell, params: PyTree, coder: Coder, texts: Sequence[str]) -> list[list[str]]:
    """A line for each description, its likeliest word each time; no word is `<unk>`."""
    writer = model.evaluation()
    assert isinstance(writer, EncoderDecoder)
    words = coder.words
    never = np.isin(np.arange(coder.size), [words.id(name) for name in ("<pad>", "<unk>", "<bos>")])

    def allow(logits: Float[Array, "B K V"], history: History) -> jax.Array:
        return jnp.where(never, -jnp.inf, logits)

    batch = batching.Shuffled(coder.read(texts, texts).sources, np.zeros(len(texts)), len(texts), shuffle=False).batch(
        0
    )
    carry = writer.initial_carry(params, (len(texts),), source=(batch.inputs, batch.lengths))
    begin = np.full(len(texts), words.id("<bos>"))
    found = decode.generate(
        writer, params, begin, steps=LONGEST, stop=words.id("<eos>"), carry=carry, processors=(allow,)
    )
    return [coder.decode(row, coder.others(text)) for row, text in zip(np.asarray(found.tokens), texts)]


def likeness(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> dict[str, float]:
    """chrF, and the share of words that two lines have in common (ROUGE-1, its F1)."""
    shares = [2 * sum((Counter(a) & Counter(b)).values()) / max(1, len(a) + len(b)) for a, b in zip(written, wanted)]
    chrf = metrics.chrf([" ".join(line) for line in written], [" ".join(line) for line in wanted])
    return {"chrf": chrf.value, "word_f1": float(np.mean(shares))}


def apply(model: Model, text: str) -> str:
    """The line that sums a description up."""
    coder = Coder(*(model.assets[name] for name in ("words", "extra", "longest")))
    (line,) = write(model.cell, model.params, coder, [check_given(text)])
    shown = re.sub(r" (?=[,.;:!?)])|(?<=\() ", "", " ".join(line))
    return f"{text if len(text) < 60 else text[:57] + '...'}: {shown}"


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
