"""Buckets hold close lengths, in few shapes."""

import chex
import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.batching import Buckets, Shuffled
from tests.batching.makers import inputs_of, targets_of


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(any), st.integers(1, 8), st.integers(1, 5))
def test_buckets_hold_close_lengths_in_few_shapes(lengths, buckets, batch_size):
    made = Buckets(inputs_of(lengths), list(range(len(lengths))), batch_size, buckets=buckets)
    batches = [made.batch(step) for step in range(2 * made.steps_per_epoch)]
    bounds = sorted({batch.inputs.shape[1] for batch in batches})
    assert len(bounds) <= buckets
    for batch in batches:
        lower = max((b for b in bounds if b < batch.inputs.shape[1]), default=-1)
        assert (batch.lengths[batch.weights] > lower).all()
        assert batch.weights.any()


def test_a_jitted_step_is_traced_once_for_each_bucket():
    @jax.jit
    @chex.assert_max_traces(3)
    def step(batch):
        return batch.inputs.sum()

    made, shapes = Buckets(inputs_of(range(1, 41)), list(range(40)), 4, buckets=3), set()
    for i in range(3 * made.steps_per_epoch):
        shapes.add(made.batch(i).inputs.shape)
        step(made.batch(i))
    assert len(shapes) == 3


def test_given_boundaries_are_the_padded_lengths():
    lengths = [1, 3, 4, 4, 5, 9]
    made = Buckets(inputs_of(lengths), targets_of("other", lengths), 2, pairs=True, buckets=(4, 7, 10), shuffle=False)
    assert [made.batch(step).inputs.shape for step in range(4)] == [(2, 4), (2, 4), (2, 7), (2, 10)]
    assert [made.batch(step).targets.shape[1] for step in range(4)] == [5, 5, 3, 1]  # the longest of each bucket
    assert [made.batch(step).lengths.tolist() for step in range(4)] == [[1, 3], [4, 4], [5, 0], [9, 0]]
    # 1 + 3 + 4 + 4 + 5 + 9 real steps of 2 * (4 + 4 + 7 + 10).
    assert made.padding_share() == pytest.approx(1 - 26 / 50)
    assert Shuffled(inputs_of(lengths), None, 4, length=10).padding_share() == pytest.approx(1 - 20 / 80)


@given(st.lists(st.integers(2, 60), min_size=20, max_size=60))
def test_buckets_pad_no_more_than_one_length_for_all(lengths):
    """Where no batch is filled up with empty rows, a boundary is never above the longest of all."""
    shares = [cls(inputs_of(lengths), None, 1).padding_share() for cls in (Shuffled, Buckets)]
    assert 0 <= shares[1] <= shares[0] < 1
