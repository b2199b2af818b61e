"""What is known of a data set before it is fetched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seqjax.datasets.content import Content
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Installed
from seqjax.errors import DataError

Convert = Callable[[Mapping[str, bytes]], Content]


@dataclass(frozen=True, kw_only=True)
class Entry:
    r"""A data set: where it comes from, how it is read, and what it must turn out to be.

    One of one's own needs a name, originals and a function that reads them; `load(entry)` does the rest. The first load
    tells the digest; with it in the entry the data are kept, and never change in silence:

    >>> import io, pathlib, warnings
    >>> import numpy as np
    >>> from seqjax import datasets
    >>> _ = pathlib.Path("steps.csv").write_text("1,2,3\n4,5,6\n7,8,9\n")
    >>> def read(originals):
    ...     table = np.loadtxt(io.BytesIO(originals["steps.csv"]), np.float32, delimiter=",")
    ...     return datasets.Content({"train": datasets.Split(table[:2]), "test": datasets.Split(table[2:])})
    >>> original = datasets.Original("steps.csv", origin=datasets.LocalFile("steps.csv"))
    >>> entry = Entry(name="steps", about="three sequences of three steps", originals=(original,), convert=read)
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     data = datasets.load(entry)
    >>> data.train.inputs.tolist()
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    >>> print(told[0].message)
    steps is not pinned, so it is read anew each time. Write into its Entry: digest="...", size=36.
    Write into its Original("steps.csv"): sha256="...", size=18.

    name: as in `load(name)`.
    about: one line.
    originals: the files it is made from.
    convert: from filename -> content of the originals to the data.
    kind: how `plot.dataset` draws examples: images, video, text, pairs, tokens, glyphs, rolls, curves, series, waves or
        tracks.
    licence, citation: of the data.
    splits: where the splits come from; "published", or how ours are made.
    counts: examples of each split, as published where they are.
    overlap: how many examples of a held-out split have inputs that stand in train too (`Content.overlap`).
    digest, size: of the converted arrays, their checksum and bytes; "" before they are known.
    note: what one must know.
    """

    name: str
    about: str
    originals: tuple[Original, ...]
    convert: Convert
    kind: str = "curves"
    licence: str = ""
    citation: str = ""
    splits: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    overlap: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    size: int = 0
    note: str = ""

    @property
    def filename(self) -> str:
        """Of the converted copy in the cache; another conversion has another name."""
        return f"{self.name}-{self.digest[:8]}.npz"

    @property
    def in_place(self) -> bool:
        """Whether it is read where an installed package has it, and never copied."""
        return all(isinstance(original.origin, Installed) for original in self.originals)

    def describe(self) -> dict[str, str]:
        """What there is to say, by topic, without what is left empty."""
        held_out = [f"{count} of {self.counts[split]} in {split}" for split, count in self.overlap.items() if count]
        known = {
            "licence": self.licence,
            "citation": self.citation,
            "splits": self.splits,
            "overlap": f"inputs that stand in train too: {', '.join(held_out)}" if held_out else "",
            "note": self.note,
        }
        return {topic: text for topic, text in known.items() if text}

    def check_counts(self, content: Content) -> None:
        """Compare with what is published.

        Raises:
            DataError: another number of examples.
        """
        found = {name: len(split) for name, split in content.splits.items()}
        if self.counts and found != dict(self.counts):
            raise DataError(f"{self.name}: found {found} examples, expected {dict(self.counts)}")
