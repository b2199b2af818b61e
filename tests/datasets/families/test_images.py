"""Files of pictures in the format of MNIST, and digits."""

import numpy as np
import pytest

from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import RNG, convert

IMAGES = {"train": RNG.integers(0, 256, (3, 28, 28)), "t10k": RNG.integers(0, 256, (2, 28, 28))}


LABELS = {"train": np.array([7, 0, 9]), "t10k": np.array([1, 1])}


def idx_files(folder, packed):
    files = {}
    for part in IMAGES:
        for kind, array in ((f"{part}-images-idx3-ubyte", IMAGES[part]), (f"{part}-labels-idx1-ubyte", LABELS[part])):
            files[f"{folder}/{kind}{packed}"] = makers.gz(makers.idx(array)) if packed else makers.idx(array)
    return files


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_idx(name):
    if name == "mnist":
        content = convert(name, makers.tar(idx_files("package/data", "")))
    else:
        content = convert(name, makers.deb(idx_files("./usr/share/datasets/fashion-mnist", ".gz")))
    for split, part in (("train", "train"), ("test", "t10k")):
        np.testing.assert_array_equal(content.splits[split].inputs, IMAGES[part])
        np.testing.assert_array_equal(content.splits[split].targets, LABELS[part])
    assert len(content.target_names) == 10


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda c: b"\1" + c[1:], "no IDX file"),
        (lambda c: c[:-1], "cut short"),
        (lambda c: c[:6], "cut short"),
        (lambda c: b"", "no IDX file"),
        (lambda c: c + b"\0", "cut short"),
    ],
    ids=["magic", "short", "header", "empty", "long"],
)
def test_damaged_idx(damage, message):
    files = idx_files("package/data", "")
    files["package/data/train-images-idx3-ubyte"] = damage(files["package/data/train-images-idx3-ubyte"])
    with pytest.raises(DataError, match=message):
        convert("mnist", makers.tar(files))


def test_digits():
    rows = RNG.integers(0, 17, (1797, 65))
    text = "\n".join(",".join(f"{v:e}" for v in row) for row in rows)
    content = convert("digits", makers.gz(text.encode()))
    images = np.concatenate([content.splits[s].inputs for s in ("train", "valid", "test")])
    np.testing.assert_array_equal(images.reshape(1797, 64) * 16, rows[:, :64])
    np.testing.assert_array_equal(content.splits["test"].targets, rows[-360:, 64])
