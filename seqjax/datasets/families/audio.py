"""Spoken digits as waves; `datasets.log_mel` turns a wave into features."""

import io
import re
import wave
from collections.abc import Mapping

import numpy as np

from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.addresses import GitHub
from seqjax.datasets.fetch.archives import members
from seqjax.datasets.fetch.origins import Original
from seqjax.errors import DataError

SPOKEN = Original(
    "free_spoken_digits.zip",
    "",
    16_392_637,
    GitHub("Jakobovski/free-spoken-digit-dataset", "26eb9aaf76e81b692f806f9140c2d2777410d7a1"),
)
RATE = 8000
TEST_BELOW = 5


def read_wave(name: str, content: bytes) -> np.ndarray:
    """The samples of a WAV file of one channel, 16 bits, 8 kHz.

    Raises:
        DataError: it is another kind of file.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            kind = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    except (wave.Error, EOFError, ValueError) as error:
        raise DataError(f"{name} is no WAV file: {error}") from error
    if kind != (1, 2, RATE):
        raise DataError(f"{name} has (channels, bytes, rate) {kind}, expected (1, 2, {RATE})")
    return samples


def _convert_spoken(originals: Mapping[str, bytes]) -> Content:
    files = members(SPOKEN.filename, originals[SPOKEN.filename], "*.wav")
    named = {name: re.fullmatch(r"(?:.*/)?(\d)_([a-z]+)_(\d+)\.wav", name) for name in sorted(files)}
    speakers = sorted({found[2] for found in named.values() if found})
    rows: dict[str, list[tuple[np.ndarray, int, int]]] = {"train": [], "test": []}
    for name, found in named.items():
        if not found:
            raise DataError(f"{SPOKEN.filename}: {name} is not named digit_speaker_index.wav")
        split = "test" if int(found[3]) < TEST_BELOW else "train"
        rows[split].append((read_wave(name, files[name]), int(found[1]), speakers.index(found[2])))
    splits = {
        split: Split(
            Ragged.of([wave for wave, _, _ in part]),
            np.array([digit for _, digit, _ in part], np.int32),
            np.array([speaker for _, _, speaker in part], np.int32),
        )
        for split, part in rows.items()
    }
    return Content(splits, target_names=tuple("0123456789"), group_names=tuple(speakers))


ENTRIES = (
    Entry(
        name="free_spoken_digits",
        kind="waves",
        about="digits said by six speakers, waves of 8 kHz in 16 bits; groups are speakers",
        licence="CC BY-SA 4.0",
        citation="Jackson et al., Free Spoken Digit Dataset",
        splits="published: the recordings 0 to 4 of each digit and speaker are test",
        counts={"train": 2700, "test": 300},
        originals=(SPOKEN,),
        convert=_convert_spoken,
        digest="42c601d2fac38a8bddc296214b94de9006faca5efaab9fa75a894fa9f93af6d7",
        size=21_044_975,
        note="3,000 recordings; any zip archive of them will do, as the content is checked",
    ),
)
