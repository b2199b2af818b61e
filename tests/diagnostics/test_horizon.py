"""Horizons of curves and time constants of gates, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.diagnostics import gradient_flow, half_life, log_mean, memory_horizon, time_constants
from tests.own_cells import LRU

K = np.arange(2001)


@pytest.mark.parametrize("r", [0.5, 0.9, 0.99])
def test_a_geometric_curve(r):
    found = memory_horizon(3.0 + K * np.log(r), epsilon=0.003)
    np.testing.assert_allclose(found.slope, np.log(r))
    np.testing.assert_allclose(found.tau, -1 / np.log(r))
    np.testing.assert_allclose(found.half_life, np.log(0.5) / np.log(r))
    assert found.epsilon_horizon == np.floor(np.log(0.003) / np.log(r))
    np.testing.assert_allclose(found.centroid, r / (1 - r), rtol=1e-6)


def test_curves_that_stay_or_grow():
    flat = memory_horizon(np.zeros(11))
    assert flat == (0, np.inf, np.inf, 10, 5)
    grows = memory_horizon(K * np.log(2))
    np.testing.assert_allclose([grows.slope, grows.tau, grows.half_life], [np.log(2), -1 / np.log(2), -1])
    assert grows.epsilon_horizon == 2000 and 1998 < grows.centroid < 2000  # 2^2000 is no float


def test_a_long_tail_is_seen_by_the_horizon_alone():
    logs = np.logaddexp(-K * 3.0, np.log(0.02) - K * 1e-4)
    assert memory_horizon(logs[:5]).half_life < 1
    assert memory_horizon(logs).epsilon_horizon == 2000


def test_what_is_not_finite_is_left_out():
    logs = np.where(K < 30, -K * np.log(2), -np.inf)
    np.testing.assert_allclose(memory_horizon(logs).half_life, 1)
    assert np.isnan(memory_horizon(np.full(3, np.nan))).all()
    one = memory_horizon([0.0, np.nan])
    assert np.isnan(one.slope) and one.epsilon_horizon == one.centroid == 0
    assert memory_horizon(K * -0.1).half_life == half_life(K * -0.1)


def test_published_time_constants():
    """Mean f of 0.5 is 1.44 steps, a bias of 1 is 3.19, one of 5 is 149."""
    gates = 1 / (1 + np.exp(-np.array([0.0, 1.0, 5.0])))
    np.testing.assert_allclose(time_constants(gates), [1.4427, 3.1922, 148.9], rtol=1e-3)
    np.testing.assert_array_equal(time_constants([0, 1, 2]), [0, np.inf, np.inf])
    assert np.isnan(time_constants([np.nan]))


def test_gates_of_a_cell_over_a_sequence():
    """An LSTM without weights keeps sigmoid(1) at each step."""
    cell = sj.LSTM(2)
    params = cell.init(jax.random.key(0), 3)
    seen = sj.trace(cell, params, jnp.zeros((1, 4, 3)))[2]
    np.testing.assert_allclose(time_constants(seen["f"])[0, 0], -1 / np.log(1 / (1 + np.exp(-1))), rtol=1e-6)


@pytest.mark.slow
def test_a_diagonal_cell_forgets_at_its_eigenvalue():
    """Complex lambda = 0.9 e^0.7i: gradient flow, horizon and time constant say the same."""
    cell = LRU(1)
    params = cell.init(jax.random.key(0), 1)
    decay = jnp.asarray([np.log(-np.log(0.9)) + 0.7j], jnp.complex64)
    params = params | {"decay": decay, "out": jnp.ones((1, 1), jnp.complex64)}
    flow = gradient_flow(cell, params, jnp.ones((1, 50, 1)), lambda y: y[:, 0])
    tau = memory_horizon(log_mean(flow.parts[""])).tau
    np.testing.assert_allclose(tau, time_constants(0.9 * np.exp(0.7j)), rtol=1e-3)


def test_what_cannot_be_right_is_named():
    with pytest.raises(sj.ArgumentError, match=r"memory_horizon: logs must be one curve .* Write memory_horizon\(log_"):
        memory_horizon(np.zeros((2, 3)))
    with pytest.raises(sj.ArgumentError, match="epsilon must be a share in 0 ... 1, found -4.6. A logarithm"):
        memory_horizon(np.zeros(3), epsilon=-4.6)
    with pytest.raises(sj.ArgumentTypeError, match="epsilon must be a number, found None"):
        memory_horizon(np.zeros(3), epsilon=None)
    with pytest.raises(sj.ArgumentTypeError, match="keep must be numbers, found <U1"):
        time_constants(["f"])
