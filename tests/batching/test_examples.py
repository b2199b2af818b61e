"""Batches of whole examples: each comes once, and nothing leaks from the padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.batching import Shuffled
from seqjax.batching.batch import Batch
from seqjax.batching.ragged import Ragged
from tests.batching.makers import build, examples_of, inputs_of, rows_of, same, targets_of

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=24).filter(lambda lengths: max(lengths) > 1)


KINDS = ("labels", "steps", "other", "next")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["fixed", "multiple", "bucket"])
@given(lengths=LENGTHS, batch_size=st.integers(1, 6), epoch=st.integers(0, 3), shuffle=st.booleans())
def test_every_example_comes_once_an_epoch_and_the_padding_is_empty(source, kind, lengths, batch_size, epoch, shuffle):
    made = build(source, kind, lengths, batch_size=batch_size, seed=epoch, shuffle=shuffle)
    steps = made.steps_per_epoch
    batches = [made.batch(step) for step in range(epoch * steps, (epoch + 1) * steps)]
    empty = ([], 0 if kind == "labels" else [])
    found = [row for batch in batches for row in rows_of(batch)]
    wanted = examples_of(kind, lengths)
    assert sorted(map(str, found)) == sorted(map(str, wanted + [empty] * (len(found) - len(wanted))))
    assert all(len(batch.inputs) == batch_size for batch in batches)
    if source == "multiple":
        for batch in batches:
            assert batch.inputs.shape[1] == next(n for n in range(4, 99, 4) if n >= batch.lengths.max())
    if source != "bucket":
        assert steps == -(-len(lengths) // batch_size)
        if not shuffle:
            assert found[: len(wanted)] == wanted


@pytest.mark.parametrize("source", ["fixed", "bucket"])
@given(lengths=LENGTHS, batch_size=st.integers(1, 4))
def test_dropped_remainders_leave_full_batches(source, lengths, batch_size):
    if max(np.bincount(lengths)) < batch_size:  # then no bucket need be full
        return
    made = build(source, "labels", lengths, batch_size=batch_size, remainder="drop")
    labels = np.concatenate([made.batch(step).targets for step in range(made.steps_per_epoch)])
    assert all(made.batch(step).weights.all() for step in range(made.steps_per_epoch))
    assert len(set(labels.tolist())) == len(labels) and labels.min() > 0
    if source == "fixed":
        assert len(labels) == len(lengths) // batch_size * batch_size
    else:
        assert len(lengths) - len(labels) <= 3 * (batch_size - 1)


def test_shapes_and_dtypes_by_kind_of_target():
    lengths = [3, 5, 2]
    options = {"batch_size": 4}
    shapes = {kind: jax.tree.map(np.shape, build("fixed", kind, lengths, **options).batch(0)) for kind in KINDS}
    assert shapes == {
        "labels": Batch((4, 5), (4,), (4,), (4,)),
        "steps": Batch((4, 5), (4, 5), (4, 5), (4,)),
        "other": Batch((4, 5), (4, 4), (4, 4), (4,)),
        "next": Batch((4, 4), (4, 4), (4, 4), (4,)),
    }
    wide = Shuffled(inputs_of(lengths), targets_of("other", lengths), 4, pairs=True, length=8, target_length=6).batch(0)
    assert (wide.inputs.shape, wide.targets.shape, wide.weights.shape) == ((4, 8), (4, 6), (4, 6))
    assert Shuffled(inputs_of(lengths), targets_of("steps", lengths), 4, length=8).batch(0).weights.shape == (4, 8)
    many = build("multiple", "next", [2, 2, 10], batch_size=1, shuffle=False)
    assert [many.batch(step).inputs.shape for step in range(3)] == [(1, 4), (1, 4), (1, 12)]
    for dtype, wanted in (
        (np.uint8, np.int32),
        (np.int64, np.int32),
        (np.float64, np.float64),
        (np.float16, np.float16),
    ):
        batch = Shuffled(np.ones((3, 2, 5), dtype), np.ones(3, dtype), 2).batch(0)
        assert (batch.inputs.dtype, batch.targets.dtype) == (wanted, wanted)
        assert (batch.weights.dtype, batch.lengths.dtype) == (bool, np.int32)


def test_arrays_lists_ragged_and_jax_arrays_are_read_alike():
    array = np.arange(24).reshape(4, 3, 2)
    forms = [array, list(array), array.tolist(), Ragged.of(list(array)), jnp.asarray(array)]
    batches = [Shuffled(form, form, 3, seed=1).batch(1) for form in forms]
    for batch in batches[1:]:
        same(batches[0], batch)
    labels = [Shuffled(array, form, 3).batch(0) for form in (np.arange(4), [0, 1, 2, 3], jnp.arange(4))]
    same(labels[0], labels[1])
    same(labels[0], labels[2])
