"""What is known of a data set before it is fetched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seqjax.datasets.content import Content
from seqjax.datasets.fetch.origins import Installed, Original
from seqjax.datasets.fetch.pins import PINS
from seqjax.errors import DataError

Convert = Callable[[Mapping[str, bytes]], Content]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A data set by name: where it comes from, and what it must turn out to be.

    kind: how examples are drawn: images, video, text, pairs, tokens, glyphs, rolls, curves, series, waves or tracks.
    title: one line.
    licence, citation: of the data.
    splits: where the splits come from; "published", or how ours are made.
    counts: examples of each split, as published where they are.
    originals: the files it is made from.
    convert: from filename -> content of the originals to the data.
    note: what one must know.
    """

    name: str
    kind: str
    title: str
    licence: str
    citation: str
    splits: str
    counts: Mapping[str, int]
    originals: tuple[Original, ...]
    convert: Convert
    note: str = ""

    @property
    def digest(self) -> str:
        """`store.digest` of the converted arrays."""
        return PINS[self.name][0]

    @property
    def size(self) -> int:
        """Bytes of the converted arrays."""
        return PINS[self.name][1]

    @property
    def filename(self) -> str:
        """Of the converted copy in the cache; another conversion has another name."""
        return f"{self.name}-{self.digest[:8]}.npz"

    @property
    def in_place(self) -> bool:
        """Whether it is read where an installed package has it, and never copied."""
        return all(isinstance(original.origin, Installed) for original in self.originals)

    def check_counts(self, content: Content) -> None:
        """Compare with what is published.

        Raises:
            DataError: another number of examples.
        """
        found = {name: len(split) for name, split in content.splits.items()}
        if found != dict(self.counts):
            raise DataError(f"{self.name}: found {found} examples, expected {dict(self.counts)}")
