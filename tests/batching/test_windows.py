"""Windows of time series stay within one and keep off gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.batching import Windows
from seqjax.errors import ArgumentError
from tests.batching.makers import rows_of


def windows_by_hand(pieces, context, horizon, stride):
    found = []
    for piece in pieces:
        for start in range(0, len(piece), stride):
            window = piece[start : start + context + horizon]
            if len(window) == context + horizon and not np.isnan(window).any():
                found.append((window[:context].tolist(), window[context:].tolist()))
    return found


@given(
    st.lists(st.integers(1, 25), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sets(st.integers(0, 60), max_size=3),
    st.booleans(),
)
def test_windows_stay_within_a_series_and_keep_off_gaps(lengths, context, horizon, stride, missing, shuffle):
    values = np.arange(2.0 * sum(lengths)).reshape(-1, 2) + 1
    for place in missing & set(range(len(values))):
        values[place, place % 2] = np.nan
    pieces = np.split(values, np.cumsum(lengths)[:-1])
    wanted = windows_by_hand(pieces, context, horizon, stride)
    make = lambda: Windows(pieces, context, horizon, batch_size=3, stride=stride, gaps="skip", shuffle=shuffle)
    if not wanted:
        with pytest.raises(ArgumentError, match="no batch: 0 windows"):
            make()
        return
    source = make()
    found = [row for step in range(source.steps_per_epoch) for row in rows_of(source.batch(step))]
    assert len(found) == -(-len(wanted) // 3) * 3
    found, empty = [row for row in found if row[0]], [row for row in found if not row[0]]
    assert (sorted(found) if shuffle else found) == wanted
    assert all(row == ([], []) for row in empty)


def test_windows_of_one_series_with_columns():
    series = np.arange(30.0).reshape(10, 3)
    source = Windows(series, 4, 2, batch_size=5, columns=[2, 0], shuffle=False)
    batch = source.batch(0)
    np.testing.assert_array_equal(batch.inputs[1], series[1:5])
    np.testing.assert_array_equal(batch.targets[1], series[5:7][:, [2, 0]])
    assert batch.weights.shape == (5, 2) and batch.lengths.tolist() == [4] * 5
    single = Windows(np.arange(10), 4, 2, batch_size=5, remainder="drop").batch(0)
    assert (single.inputs.shape, single.targets.shape, single.inputs.dtype) == ((5, 4, 1), (5, 2, 1), np.int32)
    train, test = series[:6], series[6:]
    assert Windows(train, 2, 1, batch_size=9).batch(0).inputs.max() < test.min()
