"""Where sequences come from: the characters of a text, or the pixels of digits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import seqjax as sj
from seqjax import datasets
from seqjax._internal.types import Array, Float, Int, Num
from seqjax.text import Vocabulary

LEAST_CHARACTERS = 1000


@dataclass(frozen=True, eq=False)
class Source:
    """Sequences with a question about their end.

    front: the cell that turns raw inputs into vectors, or None where they are vectors already.
    ids: of all characters, or None; xs, labels: pixel sequences and their classes, or None.
    """

    name: str
    classes: int
    longest: int
    front: sj.Cell | None
    ids: Int[Array, " S"] | None = None
    xs: Float[Array, "N S 1"] | None = None
    labels: Int[Array, " N"] | None = None

    def windows(
        self, rng: np.random.Generator, batch_size: int, length: int
    ) -> tuple[Num[Array, "B T *D"], Int[Array, " B *T"]]:
        """Inputs of `length` steps and targets: the next character `[B, T]`, or the class `[B]` of the digit."""
        if self.ids is not None:
            starts = rng.integers(0, len(self.ids) - length, batch_size)
            cut = self.ids[starts[:, None] + np.arange(length + 1)]
            return cut[:, :-1], cut[:, 1:]
        assert self.xs is not None and self.labels is not None
        rows = rng.integers(0, len(self.xs), batch_size)
        return self.xs[rows, -length:], self.labels[rows]


def load(data: str) -> Source:
    """The source called "shakespeare" or "digits", or the text file at a path.

    Raises:
        ArgumentError: neither, or a text that is too short.
        DataError: it cannot be had or read.
    """
    if data == "digits":
        splits = datasets.load("digits").splits.values()
        xs = datasets.pixels(np.concatenate([split.inputs for split in splits]))
        return Source(
            "digits", 10, xs.shape[1], None, xs=xs, labels=np.concatenate([split.targets for split in splits])
        )
    if data == "shakespeare":
        splits = datasets.load("shakespeare").splits.values()
        return _from_text("shakespeare", "".join(split.inputs.text(0) for split in splits))
    path = Path(data)
    if not path.is_file():
        raise sj.ArgumentError(f"data: {data!r} is neither shakespeare, digits nor the path of a text file")
    try:
        return _from_text(path.name, path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, OSError) as error:
        raise sj.DataError(f"data: {data} cannot be read as UTF-8 text: {error}") from error


def _from_text(name: str, text: str) -> Source:
    if len(text) < LEAST_CHARACTERS:
        raise sj.ArgumentError(f"data: {name} has {len(text)} characters; at least {LEAST_CHARACTERS} are needed")
    vocabulary = Vocabulary("characters", tuple(sorted(set(text))))
    front = sj.Embed(len(vocabulary), 32)
    return Source(name, len(vocabulary), len(text) // 2, front, ids=vocabulary.encode(text))
