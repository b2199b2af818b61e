"""The mean over time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, ArgumentError, Dense, MeanPool, scan, stack


def test_it_is_the_mean_of_real_steps(x64):
    xs = np.random.default_rng(0).normal(size=(2, 5, 3))
    mask = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], bool)
    carry, ys = scan(MeanPool(), {}, jnp.where(mask[..., None], xs, np.nan), mask=mask)
    for row in range(2):
        seen = np.cumsum(xs[row][mask[row]], axis=0) / np.arange(1, 4)[:, None]
        np.testing.assert_allclose(ys[row][mask[row]], seen, rtol=1e-14)
        np.testing.assert_allclose(carry.total[row] / carry.steps[row], seen[-1], rtol=1e-14)


def test_the_gradient_of_the_last_mean_reaches_each_step_alike(x64):
    gradient = jax.grad(lambda xs: scan(MeanPool(), {}, xs)[1][0, -1, 0])(jnp.ones((1, 8, 1)))
    np.testing.assert_allclose(gradient.ravel(), np.full(8, 1 / 8), rtol=1e-14)


def test_many_short_numbers_are_summed_in_float32():
    """In bfloat16 a sum of ones stops at 256."""
    ys = scan(MeanPool(), {}, jnp.ones((1, 1000, 1), jnp.bfloat16))[1]
    assert ys.dtype == jnp.bfloat16 and float(ys[0, -1, 0]) == 1


def test_a_classifier_asks_for_nothing():
    model = stack(GRU(3), MeanPool(), Dense(2))
    params = model.init(jax.random.key(0), 4)
    assert scan(model, params, jnp.ones((2, 5, 4)), lengths=[5, 0])[1].shape == (2, 5, 2)


def test_a_carry_by_hand_needs_a_width():
    with pytest.raises(ArgumentError, match="MeanPool: its carry is as wide as the input"):
        MeanPool().initial_carry({}, (2,))
    assert MeanPool().initial_carry({}, (2,), in_features=3).total.shape == (2, 3)
