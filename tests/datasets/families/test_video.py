"""Digits that glide and bounce."""

import numpy as np
import pytest

from seqjax.datasets import moving_digits
from seqjax.errors import ArgumentError
from tests import makers
from tests.datasets.families.convert import convert


def one_step(place, speed, limit=9):
    place += speed
    if place < 0:
        return -place, -speed
    return (2 * limit - place, -speed) if place > limit else (place, speed)


def test_moving_digits_follow_a_bouncing_path():
    images = np.full((1, 3, 3), 200, np.uint8)
    videos = moving_digits(images, 5, seed=3, frames=40, size=12, digits=1)
    assert videos.shape == (5, 40, 12, 12) and set(np.unique(videos)) == {0, 200}
    rows, columns = (videos.any(axis=axis) for axis in (3, 2))
    draw = np.random.Generator(np.random.Philox(3)).random((4, 5, 1))
    for b in range(5):
        y, x = draw[2, b, 0] * 9, draw[3, b, 0] * 9
        dy, dx = 3.6 * np.sin(2 * np.pi * draw[1, b, 0]), 3.6 * np.cos(2 * np.pi * draw[1, b, 0])
        for t in range(40):
            assert rows[b, t].sum() == columns[b, t].sum() == 3
            assert abs(rows[b, t].argmax() - min(y, 9)) <= 1 and abs(columns[b, t].argmax() - min(x, 9)) <= 1
            y, dy, x, dx = *one_step(y, dy), *one_step(x, dx)
    np.testing.assert_array_equal(videos, moving_digits(images, 5, seed=3, frames=40, size=12, digits=1))
    assert (videos != moving_digits(images, 5, seed=4, frames=40, size=12, digits=1)).any()


def test_overlapping_digits_show_the_brighter():
    images = np.array([[[50]], [[90]]], np.uint8)
    videos = moving_digits(images, 200, seed=0, frames=1, size=2)
    assert set(np.unique(videos)) == {0, 50, 90}
    assert (videos > 0).sum(axis=(1, 2, 3)).min() == 1, "some overlap, and the brighter one is seen"
    with pytest.raises(ArgumentError, match="at most 2 pixels"):
        moving_digits(np.zeros((1, 3, 3), np.uint8), 1, seed=0, size=2)


def test_moving_mnist_uses_other_pictures_for_each_split():
    files = {"train": np.zeros((5001, 2, 2)), "t10k": np.full((1, 2, 2), 3)}
    files["train"][0], files["train"][1:] = 1, 2
    named = {f"package/data/{p}-images-idx3-ubyte": makers.idx(a) for p, a in files.items()}
    named |= {f"package/data/{p}-labels-idx1-ubyte": makers.idx(np.zeros(len(a))) for p, a in files.items()}
    splits = convert("moving_mnist", makers.tar(named)).splits
    assert [int(splits[s].inputs.max()) for s in ("train", "valid", "test")] == [1, 2, 3]
    assert [int(splits[s].inputs[splits[s].inputs > 0].min()) for s in ("train", "valid", "test")] == [1, 2, 3]
