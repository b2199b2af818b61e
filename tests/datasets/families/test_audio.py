"""Spoken digits out of WAV files."""

import io
import wave

import numpy as np
import pytest

from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import convert, lists


def wav(samples, rate=8000, channels=1):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return buffer.getvalue()


def test_spoken_digits():
    files = {"3_ann_5.wav": wav([1, -2, 3]), "0_bob_4.wav": wav([5]), "9_ann_40.wav": wav([32767, -32768])}
    content = convert("free_spoken_digits", makers.wheel(files))
    train, test = content.splits["train"], content.splits["test"]
    assert lists(train.inputs) == [[1, -2, 3], [32767, -32768]] and train.targets.tolist() == [3, 9]
    assert lists(test.inputs) == [[5]] and test.targets.tolist() == [0]
    assert [content.group_names[g] for g in test.groups] == ["bob"]
    for name, data, message in (
        ("3_ann_5.wav", wav([1], rate=16000), "expected \\(1, 2, 8000\\)"),
        ("3_ann_5.wav", b"RIFFxxxx", "no WAV file"),
        ("three.wav", wav([1]), "not named"),
    ):
        with pytest.raises(DataError, match=message):
            convert("free_spoken_digits", makers.wheel({**files, name: data}))
