"""Ragged arrays against lists, and the features made of stored data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.batching.ragged import Ragged
from seqjax.datasets import log_mel, permute, pixels, vectors
from seqjax.errors import ArgumentError, ArgumentTypeError

LISTS = st.lists(st.lists(st.integers(-5, 5), max_size=4), min_size=1, max_size=6)


@given(LISTS, st.data())
def test_like_a_list_of_lists(lists, data):
    ragged = Ragged.of([np.array(row, np.int32) for row in lists])
    assert len(ragged) == len(lists) and ragged.lengths.tolist() == [len(row) for row in lists]
    assert [row.tolist() for row in ragged] == lists
    i = data.draw(st.integers(-len(lists), len(lists) - 1))
    assert ragged[i].tolist() == lists[i]
    cut = data.draw(st.slices(len(lists)))
    assert [row.tolist() for row in ragged[cut]] == lists[cut]
    rows = data.draw(st.lists(st.integers(-len(lists), len(lists) - 1), max_size=5))
    picked = ragged[np.array(rows, int)]
    assert [row.tolist() for row in picked] == [lists[r] for r in rows] and picked.values.dtype == np.int32


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_texts(texts):
    assert Ragged.of(texts).texts() == texts


def test_views_are_not_copies():
    ragged = Ragged.of([np.arange(3), np.arange(4)])
    assert np.shares_memory(ragged[1], ragged.values) and np.shares_memory(ragged[:1].values, ragged.values)


@pytest.mark.parametrize(
    "offsets, message",
    [
        ([0, 2], "rise from 0 to the number of values, 3"),
        ([1, 3], "rise"),
        ([0, 3, 2, 3], "rise"),
        ([0.0, 3.0], "whole"),
        ([], "whole"),
    ],
)
def test_offsets_that_do_not_fit(offsets, message):
    with pytest.raises(ArgumentError, match=message):
        Ragged(np.zeros(3), offsets)


def test_wrong_calls():
    with pytest.raises(ArgumentTypeError, match="differ in dtype"):
        Ragged.of([np.zeros(2), np.zeros(2, int)])
    with pytest.raises(ArgumentTypeError, match="no texts"):
        Ragged.of([np.zeros(2)]).text(0)
    with pytest.raises(ArgumentTypeError, match="a single number"):
        Ragged.of([1, 2])
    with pytest.raises(IndexError):
        Ragged.of(["a"])[1]


def test_vectors():
    videos = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    found = vectors(videos, 255)
    assert found.shape == (2, 3, 4) and found.dtype == np.float32
    np.testing.assert_array_equal(found, videos.reshape(2, 3, 4).astype(np.float32) / np.float32(255))
    wave = vectors(Ragged.of([np.array([1, -2], np.int16), np.array([3], np.int16)]), 2)
    assert [part.tolist() for part in wave] == [[[0.5], [-1.0]], [[1.5]]]
    with pytest.raises(ArgumentError, match="found shape"):
        vectors(np.zeros(3))


def test_pixels():
    images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    found = pixels(images)
    assert found.shape == (2, 6, 1) and found.dtype == np.float32
    np.testing.assert_allclose(found[1, :, 0] * 255, [6, 7, 8, 9, 10, 11], rtol=1e-6)
    np.testing.assert_array_equal(pixels(images / 12)[0, 5], np.float32([5 / 12]))
    with pytest.raises(ArgumentError, match="height, width"):
        pixels(images[0])


def test_permuted():
    sequences = np.arange(20).reshape(2, 10, 1)
    once, again, other = permute(sequences), permute(sequences), permute(sequences, seed=1)
    np.testing.assert_array_equal(once, again)
    assert sorted(once[0, :, 0]) == list(range(10)) and (once != other).any() and (once != sequences).any()
    np.testing.assert_array_equal(once[1] - once[0], np.full((10, 1), 10))


def test_log_mel_finds_a_tone():
    rate, tone = 8000, 1000.0
    wave = (8192 * np.sin(2 * np.pi * tone * np.arange(rate) / rate)).astype(np.int16)
    found = log_mel(wave)
    assert found.shape == (1 + -(-(8000 - 200) // 80), 40) and found.dtype == np.float32
    centres = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42)[1:-1] / 2595) - 1)
    middle = found[10:-10]
    assert (middle.argmax(axis=1) == np.abs(centres - tone).argmin()).all()
    np.testing.assert_allclose(log_mel(np.zeros(400)), np.log(1e-6), rtol=1e-6)


def test_log_mel_is_the_sum_of_its_definition():
    wave = np.random.default_rng(0).normal(size=330)
    found = log_mel(wave, rate=8000, bands=5)
    frames = [np.pad(wave, (0, 30))[s : s + 200] for s in (0, 80, 160)]
    mels = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 7)
    corner = 700 * (10 ** (mels / 2595) - 1)
    for t, frame in enumerate(frames):
        windowed = frame * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 199))
        for b in range(5):
            energy = 0.0
            for k in range(129):
                f = k * 8000 / 256
                power = abs(np.sum(windowed * np.exp(-2j * np.pi * k * np.arange(200) / 256))) ** 2
                low, middle, high = corner[b : b + 3]
                energy += power * max(0.0, (f - low) / (middle - low) if f <= middle else (high - f) / (high - middle))
            np.testing.assert_allclose(found[t, b], np.log(energy + 1e-6), rtol=1e-5)
    with pytest.raises(ArgumentError, match="one channel"):
        log_mel(np.zeros((2, 5)))
