"""Batches from one long sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax import RNN, Embed, scan, stack
from seqjax.batching import RandomWindows, Stream
from seqjax.errors import ArgumentError


@given(st.integers(2, 200), st.integers(1, 5), st.integers(1, 9))
def test_streams_put_end_to_end_give_the_text_back(n, batch_size, length):
    ids = np.arange(n) + 7
    if n < batch_size * length + 1:
        with pytest.raises(ArgumentError, match="expected at least"):
            Stream(ids, batch_size, length)
        return
    stream = Stream(ids, batch_size, length)
    steps = stream.steps_per_epoch
    for epoch in range(2):
        batches = [stream.batch(step) for step in range(epoch * steps, (epoch + 1) * steps)]
        inputs = np.concatenate([batch.inputs for batch in batches], 1).ravel()
        targets = np.concatenate([batch.targets for batch in batches], 1).ravel()
        assert inputs.tolist() == ids[: len(inputs)].tolist()
        assert targets.tolist() == ids[1 : len(inputs) + 1].tolist()
        assert n - 1 - len(inputs) < batch_size * length
    assert [stream.starts(step) for step in range(2 * steps)] == [step in (0, steps) for step in range(2 * steps)]
    assert batches[0].weights.all() and batches[0].weights.shape == (batch_size, length)
    assert batches[0].lengths.tolist() == [length] * batch_size


def test_a_carry_handed_over_reads_the_text_in_one_go(x64):
    cell = stack(Embed(5, 3), RNN(4))
    params = cell.init(jax.random.key(0), 0, jnp.float64)
    stream = Stream(np.random.default_rng(0).integers(0, 5, 50), 3, 4)
    carry, outputs = None, []
    for step in range(stream.steps_per_epoch):
        assert stream.starts(step) == (carry is None)
        carry, ys = scan(cell, params, stream.batch(step).inputs, carry)
        outputs.append(ys)
    part = 4 * stream.steps_per_epoch
    _, whole = scan(cell, params, stream.ids[: 3 * part].reshape(3, part).astype(np.int32))
    np.testing.assert_allclose(np.concatenate(outputs, 1), whole, rtol=1e-12)


def test_streams_of_features():
    series = np.random.default_rng(0).normal(size=(21, 3))
    batch = Stream(series, 2, 5).batch(1)
    np.testing.assert_array_equal(batch.inputs, [series[5:10], series[15:20]])
    np.testing.assert_array_equal(batch.targets, [series[6:11], series[16:21]])
    assert batch.weights.shape == (2, 5)


def test_random_windows_are_pieces_of_the_text_from_everywhere():
    n, length = 23, 4
    source = RandomWindows(np.arange(n), 50, length, seed=3)
    batches = [source.batch(step) for step in range(40)]
    inputs = np.concatenate([batch.inputs for batch in batches])
    assert (np.diff(inputs, axis=1) == 1).all()
    assert all(np.array_equal(batch.targets, batch.inputs + 1) for batch in batches)
    counts = np.bincount(inputs[:, 0])
    places = n - length  # the last one leaves a token as target
    assert len(counts) == places
    expected = 2000 / places
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < places - 1 + 5 * np.sqrt(2 * (places - 1))  # mean and deviation of chi squared
    assert RandomWindows(np.arange(1001), 5, 10).steps_per_epoch == 20
