"""Ragged arrays against lists, and the features made of stored data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.batching.ragged import Ragged
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
