"""Scaled columns."""

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqjax.batching import Scaler, Stream
from seqjax.batching.ragged import Ragged


@given(st.integers(0, 2**32 - 1), st.floats(-1e6, 1e6), st.floats(1e-2, 1e4))
def test_scaled_columns_have_mean_0_and_deviation_1(seed, shift, spread):
    rng = np.random.default_rng(seed)
    train = rng.normal(size=(200, 3)) * spread + shift
    train[:, 1] = 0.1  # whose computed mean is not 0.1
    holes = rng.random(200) < 0.2
    train[holes, 2] = np.nan
    scaler = Scaler.fit(train)
    scaled = scaler(train)
    column, kept = train[:, 0], train[~holes, 2]
    slack = 1e-9 * (1 + abs(shift) / spread)  # what rounding of the shift does in float64
    np.testing.assert_allclose(scaled[:, 0], (column - column.mean()) / column.std(), atol=slack)
    np.testing.assert_allclose(scaled[~holes, 2], (kept - kept.mean()) / kept.std(), atol=slack)
    assert np.isnan(scaled[holes, 2]).all() and (scaled[:, 1] == 0).all()
    np.testing.assert_allclose(scaler.inverse(scaled), train, rtol=1e-12, atol=1e-9 * spread)
    again = scaler(train[:100])  # a part of it is scaled alike
    np.testing.assert_array_equal(again, scaled[:100])


def test_scalers_take_arrays_of_both_kinds_and_keep_their_dtype():
    train = np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0]])
    scaler = Scaler.fit(train)
    assert (scaler.mean.tolist(), scaler.scale.tolist()) == ([2, 20, 5], [1, 10, 1])
    x = np.ones((2, 4, 3))
    for array, dtype in ((x, np.float64), (x.astype(np.float32), np.float32), (x.astype(int), np.float32),
                         (jnp.asarray(x), np.float32), (jnp.asarray(x, jnp.bfloat16), jnp.bfloat16)):  # fmt: skip
        scaled = scaler(array)
        assert scaled.dtype == dtype and scaled.shape == x.shape
        np.testing.assert_allclose(np.asarray(scaled[1, 2], float), [-1, -1.9, -4], rtol=1e-2)
    assert scaler([[2.0, 20.0, 6.0]]).tolist() == [[0, 0, 1]]
    assert scaler.columns([2, 0]).inverse(np.array([[1.0, 1.0]])).tolist() == [[6, 3]]
    many = Scaler.fit(np.stack([train, train]))
    np.testing.assert_array_equal(many.mean, scaler.mean)


def test_ragged_series_are_scaled_and_streamed_like_their_values():
    runs = Ragged.of([np.arange(6.0).reshape(3, 2), np.array([[8.0, 1.0]])])
    scaler = Scaler.fit(runs)
    np.testing.assert_array_equal(scaler.mean, Scaler.fit(runs.values).mean)
    scaled = scaler(runs)
    assert scaled.lengths.tolist() == [3, 1]
    np.testing.assert_array_equal(scaled.values, scaler(runs.values))
    np.testing.assert_allclose(scaler.inverse(scaled).values, runs.values)
    lines = Ragged.of([np.arange(5), np.arange(5, 9)])
    np.testing.assert_array_equal(Stream(lines, 2, 2).batch(0).inputs, Stream(lines.values, 2, 2).batch(0).inputs)
