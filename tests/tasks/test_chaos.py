"""The series solve their equations and have the stated moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import tasks
from tests.tasks.test_laws import EarlyLorenz


def test_lorenz_solves_its_equations():
    """Against Euler's method with steps 2000 times finer, in float64, over 10 steps."""
    found = np.asarray(tasks.lorenz.series(jax.random.key(0), 11), np.float64)
    x, y, z = found[0]
    h = 1e-5
    for _ in range(20000):
        x, y, z = x + h * 10 * (y - x), y + h * (x * (28 - z) - y), z + h * (x * y - 8 / 3 * z)
    np.testing.assert_allclose(found[-1], [x, y, z], rtol=2e-3, atol=2e-3)


def test_mackey_glass_solves_its_equation():
    """Against Euler's method with steps 50 times finer, in float64, over 40 units."""
    found = np.asarray(tasks.mackey_glass.series(jax.random.key(0), 40), np.float64)[:, 0]
    x0 = float(jax.random.uniform(jax.random.key(0), (), jnp.float32, 0.5, 1.5))
    h, lag = 0.002, 8500
    x = [x0] * (lag + 1)
    for _ in range(40 * 500):
        x.append(x[-1] + h * (0.2 * x[-1 - lag] / (1 + x[-1 - lag] ** 10) - 0.1 * x[-1]))
    np.testing.assert_allclose(found, x[lag:-1:500], rtol=1e-3)


@pytest.mark.parametrize("name, persistence", [("mackey_glass", 0.0213), ("lorenz", 0.0221)])
def test_series_have_mean_0_variance_1_and_the_stated_persistence(name, persistence):
    """Each variable over 512 sequences of 200 steps, and at each step: within 4.5 standard errors over sequences."""
    batch = tasks.find(name).sample(jax.random.key(3), 512, 200)
    x, y = np.asarray(batch.inputs, np.float64), np.asarray(batch.targets, np.float64)
    for each, wanted, precision in (
        (x.mean(axis=1), 0, 0.05),
        (np.square(x).mean(axis=1), 1, 0.05),
        (np.square(y - x).mean(axis=(1, 2)), persistence, 0.02 * persistence),
    ):
        error = each.std(axis=0) / np.sqrt(len(each))
        assert (error < precision).all()
        assert (np.abs(each.mean(axis=0) - wanted) < 4.5 * error).all()
    assert (np.abs(x.mean(axis=0)) < 4.5 * x.std(axis=0) / np.sqrt(len(x))).all()  # the phases differ


def test_series_ahead():
    """The same key and another horizon: the same inputs, targets so many steps on."""
    near, far = (EarlyLorenz(ahead=k).sample(jax.random.key(0), 2, 8) for k in (1, 3))
    np.testing.assert_allclose(far.inputs, near.inputs, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(far.targets[:, :-2], near.targets[:, 2:], rtol=2e-5, atol=2e-5)
