"""From what is stored to what a model reads."""

import numpy as np
import pytest

from seqjax.batching.ragged import Ragged
from seqjax.datasets import log_mel, permute, pixels, vectors
from seqjax.errors import ArgumentError


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


def test_permute():
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
