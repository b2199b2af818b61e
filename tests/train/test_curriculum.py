"""Sequences that grow longer, in arrays of few shapes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")


from seqjax.batching import Shuffled
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train import Curriculum, Mean, cut, shorter_examples
from tests.train.problems import ADAM, PARAMS, ROWS, compiled_programs, source, train


def test_a_curriculum_compiles_once_a_shape(caplog):
    data = Curriculum(
        lambda step, n, padded: cut(long.batch(step), n, padded), lambda step: 1 + step, shapes=(3, 6, 12)
    )
    long = Shuffled(np.arange(60, dtype=np.float32).reshape(5, 12, 1) / 60, np.ones((5, 12), np.float32), 5)
    seen = [(data.batch(step).inputs.shape[1], int(data.batch(step).weights.sum(1).max())) for step in range(12)]
    assert seen == [(3, 1), (3, 2), (3, 3), (6, 4), (6, 5), (6, 6)] + [(12, n) for n in range(7, 13)]

    def ones(params, batch, key):
        return Mean.of(jnp.square(params["w"][0] * batch.inputs[..., 0] - batch.targets), batch.weights)

    names = compiled_programs(caplog, lambda: train(ones, PARAMS, ADAM, data, steps=12, every=5))
    assert names.count("run") == 3


def test_what_a_curriculum_cuts():
    batch = source(shuffle=False).batch(0)
    short = cut(batch, 1, 2)
    np.testing.assert_array_equal(short.inputs, ROWS[:4, :2, None])
    np.testing.assert_array_equal(short.targets, ROWS[:4, 1:3, None])
    assert short.weights.tolist() == [[True, False]] * 4 and short.lengths.tolist() == [1] * 4
    chex.assert_trees_all_equal(cut(batch, 9, 16), batch)
    chex.assert_trees_all_equal(jax.tree.map(np.asarray, cut(jax.tree.map(jnp.asarray, batch), 2, 2)), cut(batch, 2, 2))
    powers = Curriculum(lambda *numbers: numbers, lambda step: step)
    assert [powers.batch(n) for n in (1, 2, 3, 8, 9)] == [(1, 1, 1), (2, 2, 2), (3, 3, 4), (8, 8, 8), (9, 9, 16)]
    half = Curriculum(lambda *_: batch, lambda step: 3).batch(0, 1, 2)
    np.testing.assert_array_equal(half.inputs, batch.inputs[2:])


def test_a_curriculum_of_pairs_chooses_whole_ones():
    """Every pair of at most `length` steps once an epoch, none longer, in a shape of the list, as a function of the step."""
    numbers = np.random.default_rng(0).integers(1, 9, (30, 2))
    sources, targets = ([np.full(n, i) for i, n in enumerate(column)] for column in numbers.T)
    data = Curriculum(shorter_examples(sources, targets, 4, pairs=True), lambda step: 3 + step // 20, shapes=(4, 8))
    for first, length in ((0, 3), (20, 4), (100, 8)):
        fits = set(np.flatnonzero(numbers.max(1) <= length))
        batches = [data.batch(first + step) for step in range(20)]
        assert {batch.inputs.shape + batch.targets.shape for batch in batches} == {(4, 4 if length < 5 else 8) * 2}
        seen = {int(row[0]) for batch in batches for row in batch.inputs[batch.lengths > 0]}
        assert seen == fits
        for batch in batches:
            for row, n, target, real in zip(batch.inputs, batch.lengths, batch.targets, batch.weights):
                assert (n == 0 and not real.any()) or (n, real.sum()) == tuple(numbers[row[0]])
                assert n == 0 or (target[real] == row[0]).all()
    chex.assert_trees_all_equal(data.batch(25), data.batch(25))
    labels = shorter_examples(sources, np.arange(30), 4)(0, 2, 4)
    assert labels.inputs.shape == (4, 4) and labels.lengths.max() <= 2
    assert (labels.targets == labels.inputs[:, 0])[labels.weights].all()
    with pytest.raises(ArgumentError, match="shortest example has 2 steps"):
        shorter_examples([[1, 1]], [[1]], 1, pairs=True)(0, 1, 1)
    with pytest.raises(ArgumentError, match="pairs=True"):
        shorter_examples(sources, targets, 4)


def test_bad_curricula():
    with pytest.raises(ArgumentTypeError, match="sample must be a function"):
        Curriculum(source(), lambda step: 3)
    with pytest.raises(ArgumentError, match="rising"):
        Curriculum(lambda *n: n, lambda step: 3, shapes=(4, 4))
    with pytest.raises(ArgumentError, match="at least 9 steps"):
        Curriculum(lambda *n: n, lambda step: 9, shapes=(4, 8)).batch(0)
    with pytest.raises(ArgumentError, match=r"length\(2\)"):
        Curriculum(lambda *n: n, lambda step: 0).batch(2)
    labels = Shuffled(ROWS[:, :, None], np.zeros(10, np.int32), 4).batch(0)
    with pytest.raises(ArgumentError, match="label of a whole sequence"):
        cut(labels, 2, 2)
