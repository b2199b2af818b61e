"""Splits, and what is packed of them."""

import numpy as np
import pytest

from seqjax import datasets
from seqjax.batching.ragged import Ragged
from seqjax.datasets.content import Content, Split, pack, unpack
from seqjax.datasets.fetch import store
from seqjax.errors import ArgumentError, ArgumentTypeError


def test_splits(tiny):
    data = datasets.load("tiny")
    with pytest.raises(
        ArgumentError, match=r"tiny has no split 'valid'; it has train, test. Take a part of train: .*hold_out"
    ):
        data.valid  # noqa: B018
    assert "two texts" in repr(data) and "licence: none" in repr(data)
    split = Split(np.arange(12).reshape(6, 2, 1), np.arange(6), np.zeros(6, np.int32))
    head, tail = split[:-2], split[np.array([5, 0])]
    assert (len(head), len(tail), head.steps) == (4, 2, 8) and tail.targets.tolist() == [5, 0]
    rest, held = split.hold_out(2, seed=1)
    assert sorted([*rest.targets, *held.targets]) == list(range(6)) and len(held) == 2
    assert held.targets.tolist() == split.hold_out(2, seed=1)[1].targets.tolist()
    assert len({tuple(split.hold_out(2, seed=s)[1].targets) for s in range(20)}) > 5
    for count in (0, 6, 7):
        with pytest.raises(ArgumentError, match=r"count must be in \[1, 5\]"):
            split.hold_out(count)
    with pytest.raises(
        ArgumentTypeError, match=r"count must be a whole number, found 0.3. A share\? Write hold_out\(2\)"
    ):
        split.hold_out(0.3)
    for count in (2.0, "2", None, True):
        with pytest.raises(ArgumentTypeError, match="count must be a whole number"):
            split.hold_out(count)
    with pytest.raises(ArgumentTypeError, match="seed"):
        split.hold_out(2, seed=0.5)
    with pytest.raises(ArgumentError, match=r"split\[2:3\]"):
        split[2]
    with pytest.raises(ArgumentError, match="targets has 2 examples, expected 3"):
        Split(np.zeros((3, 1)), np.zeros(2))


def test_packing_is_undone_by_unpacking():
    content = Content(
        {
            "train": Split(Ragged.of([np.ones((2, 3)), np.ones((0, 3))]), Ragged.of(["é", ""]), np.array([1, 2])),
            "test": Split(np.zeros((1, 4))),
        },
        ("x", "ü"),
    )
    again = unpack(pack(content))
    assert list(again.splits) == ["train", "test"] and again.input_names == ("x", "ü")
    assert again.splits["train"].targets.texts() == ["é", ""] and again.splits["train"].inputs.lengths.tolist() == [
        2,
        0,
    ]
    assert again.splits["test"].targets is None
    assert store.digest(pack(again)) == store.digest(pack(content))


def test_the_digest_sees_every_change():
    base = {"a": np.arange(4, dtype=np.int32), "b": np.zeros(0)}
    others = [
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"].astype(np.int64), "b": base["b"]},
        {"a": base["a"].reshape(2, 2), "b": base["b"]},
        {"a": base["a"] + np.int32([0, 0, 0, 1]), "b": base["b"]},
        {"a": base["a"]},
    ]
    assert len({store.digest(arrays) for arrays in [base, *others]}) == 6
    swapped = {"a": base["a"].astype(">i4"), "b": base["b"]}
    strided = {"a": np.repeat(base["a"], 2)[::2], "b": base["b"]}
    assert store.digest(swapped) == store.digest(strided) == store.digest(base)
