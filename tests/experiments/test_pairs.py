"""Strings that are read whole and then written: data, and what counts as right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.pairs import Strings, right
from seqjax import Batch


@pytest.mark.parametrize("order", ["reverse", "copy", "sum"])
def test_targets_are_the_strings_in_their_order(order):
    strings = Strings(order, symbols=5, longest=4)
    sizes = [1, 4, 2, 3]
    batch = strings.sample(jnp.asarray(sizes), jax.random.key(0))
    assert batch.inputs.shape == batch.targets.shape == (4, 5)
    for size, source, target, weights, length in zip(sizes, *map(np.asarray, batch)):
        symbols = source[:size].tolist()
        assert max(symbols) < 5
        wanted = {"reverse": symbols[::-1], "copy": symbols, "sum": [sum(symbols[: i + 1]) % 5 for i in range(size)]}
        assert target[: size + 1].tolist() == [*wanted[order], strings.end]
        assert source[size] == strings.end
        assert weights.tolist() == [t <= size for t in range(5)]
        assert length == size + 1


def test_training_strings_have_all_lengths():
    batch = Strings("copy", 10, 6).draw(200, jax.random.key(1))
    assert set(np.asarray(batch.lengths).tolist()) == set(range(2, 8))
    assert set(np.unique(batch.inputs).tolist()) == set(range(11))


def test_an_answer_is_right_to_its_end():
    end, targets = 9, np.array([[1, 2, 9], [1, 2, 9], [1, 9, 0], [1, 2, 9]])
    batch = Batch(
        targets, targets, np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1]], bool), np.array([3, 3, 2, 3])
    )
    tokens = np.array([[1, 2, end, end], [1, 2, 3, end], [1, end, end, end], [1, end, end, end]])
    whole, each = right(tokens, batch)
    assert whole.tolist() == [True, False, True, False]
    np.testing.assert_allclose(each, [1, 2 / 3, 1, 2 / 3])  # the last one stops early, and has the end in place 3


def test_a_short_answer_is_not_right():
    """Fewer tokens than the target has, as where the steps are bounded."""
    targets = np.array([[4, 2, 9]])
    whole, each = right(np.array([[4, 2]]), Batch(targets, targets, np.ones((1, 3), bool), np.array([3])))
    assert not whole[0]
    np.testing.assert_allclose(each, 2 / 3)
