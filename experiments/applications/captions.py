"""One to many: what is an emoji called?

A small transformer reads a picture as 16 patches; a GRU that attends to them writes the name, word by word ("show,
attend and tell", Xu et al. 2015, in small).
Expectation: with 1,519 pictures to learn from, and three in four of the words of their names seen once, the name of a
new picture is seldom right as a whole, but its kind is more often (flag, face, family). What the picture adds shows
against the most frequent follower of each word, without a look at it (the baseline).
Words that occur once are `<unk>`, which is written as "…".

    python -m experiments.applications.captions --seeds 0 1 2
    python -m experiments.applications.captions --model RUN --apply picture.png
"""

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import seqjax as sj
from experiments.applications.apply import application
from experiments.applications.pictures import read_picture, square
from experiments.applications.training import POSITIVE, Sources, Training, fit_and_save, follower_share
from experiments.harness.command import check_options
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax import Ragged, batching, datasets, decode
from seqjax._internal.types import Array, Float, Int, Num, PyTree
from seqjax.checkpoint import Model
from seqjax.interop import as_cell
from seqjax.nn import TransformerEncoder
from seqjax.nn.vision import cut_patches
from seqjax.seq2seq import EncoderDecoder, attend
from seqjax.text import Vocabulary

Part = tuple[Num[np.ndarray, "n H W C"], Ragged]
"""Pictures, and their names with the end token."""
ROWS = 4
"""Patches in a column and in a row of a picture."""


@dataclass(frozen=True)
class Config(Training):
    """Options of the experiment."""

    score: tuple[str, ...] = ("additive",)
    """How the decoder attends to the patches, as in `seqjax.seq2seq.attend`"""
    features: int = 64
    """Of a patch, of a word, and of the decoder"""
    dropout: float = 0.3
    """Share of the features that a training step does not see"""
    epochs: int = 40
    """Passes through the training pictures"""


def main(config: Config) -> dict[str, Any]:
    """Train a model with each score; the test accuracy is that of the pass with the best validation.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "features", *POSITIVE)
    data = datasets.load("emoji")
    splits = [split[: config.examples or None] for split in data.splits.values()]
    names = [split.targets.texts() for split in splits]
    specials = ("<pad>", "<unk>", "<bos>", "<eos>")
    words = Vocabulary.words(names[0], lower=True, punctuation="remove", min_count=2, specials=specials)
    parts = [(split.inputs, words.encode_all(texts, end=True)) for split, texts in zip(splits, names)]
    run = Run("captions", config, by=("score",))
    jobs = {score: functools.partial(study, config, score, words, parts) for score in config.score}
    return conclude(run, run.work(jobs), "accuracy")


def study(config: Config, score: str, words: Vocabulary, parts: Sequence[Part], folder: Path) -> Rows:
    """One training."""
    read = [patches(pictures) for pictures, _ in parts]
    names = [names for _, names in parts]
    model = build(config, score, words, read[0].shape[-1])
    sources = Sources(
        *(batching.Shuffled(*part, config.batch_size, config.seed, pairs=True) for part in zip(read, names))
    )
    longest = int(names[0].lengths.max())
    assets = {"words": words, "longest": longest, "side": parts[0][0].shape[1]}
    params, found = fit_and_save(folder, model, sources, config, application="captions", assets=assets)
    written = [set(row) for row in name_pictures(model, params, read[2], words, longest).tolist()]
    known = [set(name.tolist()) - {words.id("<unk>"), words.id("<eos>")} for name in names[2]]
    seen, new = (Ragged.of([np.append(words.id("<bos>"), name) for name in part]) for part in (names[0], names[2]))
    shares = {
        "baseline_accuracy": follower_share(seen, new, len(words)),
        "word_share": sum(len(a & b) for a, b in zip(written, known)) / sum(map(len, known)),
    }
    return [{"score": score} | shares | found]


def build(config: Config, score: str, words: Vocabulary, features: int) -> EncoderDecoder:
    """A transformer over patches, and a GRU that attends to it."""
    width, drop = config.features, sj.Dropout(config.dropout)
    reader = as_cell(TransformerEncoder, None, width, 4, 1, capacity=ROWS**2, dropout=config.dropout)
    writer = attend(sj.GRU(width), score)
    return EncoderDecoder(
        sj.stack(sj.Dense(width), reader),
        sj.stack(sj.Embed(len(words), width), drop, writer, drop, sj.Dense(len(words))),
        begin=words.id("<bos>"),
        source_features=features,
    )


def patches(pictures: Num[np.ndarray, "n H W C"]) -> Float[np.ndarray, "n S D"]:
    """The patches of pictures, row by row, in [0, 1]; colours are weighed by their alpha."""
    scaled = pictures.astype(np.float32) / np.float32(255)
    colours = np.concatenate([scaled[..., :3] * scaled[..., 3:], scaled[..., 3:]], axis=-1)
    return np.asarray(cut_patches(colours, pictures.shape[1] // ROWS))


def name_pictures(
    model: sj.Cell, params: PyTree, pictures: Float[Array, "n S D"], words: Vocabulary, longest: int
) -> Int[np.ndarray, "n L"]:
    """The ids of the name of each picture."""
    writer = model.evaluation()
    assert isinstance(writer, EncoderDecoder)
    carry = writer.initial_carry(params, (len(pictures),), source=pictures)
    begin = np.full(len(pictures), words.id("<bos>"))
    return np.asarray(decode.generate(writer, params, begin, steps=longest, stop=words.id("<eos>"), carry=carry).tokens)


def apply(model: Model, path: str) -> str:
    """The name of the picture in a file."""
    words = model.assets["words"]
    picture = square(read_picture(path, "RGBA"), model.assets["side"])
    ids = name_pictures(model.cell, model.params, patches(picture[None]), words, model.assets["longest"])
    return f"{path}: {words.decode(ids[0]).replace(chr(0xFFFD), '…')}"


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
