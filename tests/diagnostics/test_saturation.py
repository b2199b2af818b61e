"""Saturation: gates and units that are known, with padding left out, and against NumPy on traces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, bidirectional, stack
from seqjax.diagnostics import saturation

MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool)


def test_equals_counts_of_the_trace():
    cell = stack(bidirectional(GRU(3)), RNN(2, activation="relu"))
    params = jax.tree.map(lambda p: 4 * p, cell.init(jax.random.key(0), 2))
    xs = 3 * jax.random.normal(jax.random.key(1), (2, 4, 2))
    found = saturation(cell, params, xs, mask=MASK)
    seen = sj.trace(cell, params, xs, mask=MASK)[2]
    assert found.keys() == seen.keys()
    for path, value in seen.items():
        real = np.asarray(value)[MASK]
        np.testing.assert_allclose(found[path].low, np.mean(real < 0.1, 0), rtol=1e-6)
        np.testing.assert_allclose(found[path].high, np.mean(real > 0.9, 0), rtol=1e-6)
        np.testing.assert_allclose(found[path].outer, np.mean(abs(real) > 0.9, 0), rtol=1e-6)
        np.testing.assert_allclose(found[path].extreme, np.mean(abs(real) > 0.99, 0), rtol=1e-6)
        np.testing.assert_array_equal(found[path].dead, np.all(real == 0, 0))
    assert 0 < found["0/forward/n"].outer.mean() < 1


def test_a_dead_unit_and_one_that_is_dead_in_padding_alone():
    cell = RNN(2, activation="relu")
    params = cell.init(jax.random.key(0), 1)
    params = jax.tree.map(jnp.zeros_like, params)
    params["project"]["kernel"] = jnp.array([[-1.0, 1.0]])
    xs = jnp.array([[1.0, 2.0, -1.0, 3.0]])[..., None]  # the third step would wake unit 0
    found = saturation(cell, params, xs, mask=np.array([[1, 1, 0, 1]], bool))
    assert found["h"].dead.tolist() == [1, 0]
    assert saturation(cell, params, xs)["h"].dead.tolist() == [0, 0]


def test_gates_by_their_biases():
    """sigmoid(-5) = 0.007, sigmoid(5) = 0.993; tanh(3) = 0.995."""
    cell = LSTM(1)
    params = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), 1))
    params["project"]["bias"] = jnp.array([-5.0, 5.0, 3.0, 0.0])
    found = saturation(cell, params, jnp.zeros((1, 3, 1)))
    assert (found["i"].low.item(), found["f"].high.item(), found["g"].extreme.item()) == (1, 1, 1)
    assert (found["o"].low.item(), found["o"].high.item(), found["i"].high.item()) == (0, 0, 0)


def test_no_real_step_is_nan():
    cell = RNN(1)
    params = cell.init(jax.random.key(0), 1)
    found = saturation(cell, params, jnp.zeros((1, 3, 1)), mask=np.zeros((1, 3), bool))
    assert np.isnan(found["h"].outer).all() and np.isnan(found["h"].dead).all()


def test_what_cannot_be_right_is_named():
    cell = RNN(2)
    params = cell.init(jax.random.key(0), 1)
    with pytest.raises(sj.ArgumentError, match="saturation: xs must have one batch axis"):
        saturation(cell, params, jnp.zeros((3, 1)))
    with pytest.raises(sj.ArgumentError, match="saturation: xs must have .* 0 steps"):
        saturation(cell, params, jnp.zeros((2, 0, 1)))
    with pytest.raises(sj.ArgumentError, match="mask has shape"):
        saturation(cell, params, jnp.zeros((2, 3, 1)), mask=np.ones((2, 4), bool))
