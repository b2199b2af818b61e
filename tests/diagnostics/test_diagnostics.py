"""Gradient flow against closed forms and against plain differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, scan, stack
from seqjax.diagnostics import gradient_flow, half_life, log_mean


def first(y):
    return y[:, 0]


def scalar_linear(w, dtype="float32"):
    cell = RNN(1, activation="identity")
    params = cell.init(jax.random.key(0), 1, dtype)
    params["mix"]["kernel"] = jnp.full((1, 1), w, dtype)
    return cell, params


@pytest.mark.parametrize("w", [2.0, 1.0, 0.5, -0.5, 1e-3])
def test_scalar_linear_cell_gives_powers(w):
    """dL_T/dh_t = w^(T-t), far beyond the range of float32: 2^500 = 3e150, 1e-3^500 = 1e-1500."""
    cell, params = scalar_linear(w)
    flow = gradient_flow(cell, params, jnp.ones((2, 500, 1)), first)
    want = np.arange(501) * np.log(abs(w))
    np.testing.assert_allclose(flow.joint, np.stack([want, want]), rtol=2e-5, atol=1e-5)


def test_doubling_cell_gives_one_two_four_eight():
    cell, params = scalar_linear(2.0)
    flow = gradient_flow(cell, params, jnp.ones((1, 3, 1)), first)
    np.testing.assert_allclose(np.exp(flow.joint[0]), [1, 2, 4, 8], rtol=1e-6)


def test_orthogonal_linear_cell_gives_one_at_every_distance():
    cell = RNN(16, activation="identity")
    params = cell.init(jax.random.key(0), 3)
    xs = jax.random.normal(jax.random.key(1), (4, 300, 3))
    way = jax.random.normal(jax.random.key(2), (16,))
    way = way / jnp.linalg.norm(way)
    flow = gradient_flow(cell, params, xs, lambda y: y @ way)
    np.testing.assert_allclose(np.exp(flow.joint), 1.0, rtol=1e-4)


@pytest.mark.parametrize("activation, gamma", [("tanh", 1.0), ("sigmoid", 0.25)])
def test_bound_of_pascanu(activation, gamma):
    """|dL/dh_t| <= (gamma sigma_max(W))^(T-t) |dL/dh_T|, gamma the largest slope of the activation."""
    cell = RNN(8, activation=activation, recurrent_init=sj.initializers.normal(0.4))
    params = cell.init(jax.random.key(0), 3)
    flow = gradient_flow(cell, params, jax.random.normal(jax.random.key(1), (5, 60, 3)), first)
    sigma = np.linalg.norm(params["mix"]["kernel"], 2)
    bound = np.arange(61) * np.log(gamma * sigma) + np.asarray(flow.joint)[:, :1]
    assert np.all(np.asarray(flow.joint) <= bound + 1e-4)
    assert np.any(np.asarray(flow.joint)[:, -1] < bound[:, -1] - 1)  # and it is no equality


def probed(cell, params, xs, carry, loss):
    """dL_T/d carry after every step by one zero probe for each, in plain autodiff."""

    def f(probes):
        state = carry
        for t in range(xs.shape[1]):
            state = jax.tree.map(lambda c, p, t=t: c + p[t], state, probes)
            state, y = cell.step(params, state, xs[:, t])
        return jnp.sum(loss(y))

    zeros = jax.tree.map(lambda c: jnp.zeros((xs.shape[1], *c.shape), c.dtype), carry)
    return jax.jit(jax.grad(f))(zeros)


MODELS = [RNN(3), LSTM(3), GRU(3), stack(LSTM(2), GRU(3, reset_after=False))]
SLOW = (GRU(3), MODELS[-1])  # test_flow_layers.py has GRUs and stacks


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, marks=pytest.mark.slow if cell in SLOW else []) for cell in MODELS], ids=repr
)
def test_flow_is_the_gradient(x64, cell):
    """Each part and the whole, and the parameters' gradient, against autodiff in float64."""
    params = cell.init(jax.random.key(0), 2, "float64")
    xs = jax.random.normal(jax.random.key(1), (3, 6, 2), jnp.float64)
    loss = lambda y: jnp.sum(jnp.sin(y), axis=-1)
    carry = jax.tree.map(lambda a: a + 0.1, cell.initial_carry(params, (3,)))
    flow = gradient_flow(cell, params, xs, loss, carry)
    probes = probed(cell, params, xs, carry, loss)
    leaves = [np.linalg.norm(leaf, axis=-1).T[:, ::-1] for leaf in jax.tree.leaves(probes)]  # [B, distance 1 ... T]
    np.testing.assert_allclose(np.exp(flow.joint[:, 1:]), np.sqrt(sum(n**2 for n in leaves)), rtol=1e-10)
    for part, norms in zip(flow.parts.values(), leaves):
        np.testing.assert_allclose(np.exp(part), norms, rtol=1e-10)
    ys = scan(cell, params, xs, carry)[1]
    np.testing.assert_allclose(np.exp(flow.joint[:, 0]), np.linalg.norm(np.cos(ys[:, -1]), axis=-1), rtol=1e-10)
    np.testing.assert_allclose(flow.loss, loss(ys[:, -1]), rtol=1e-12)
    grads = jax.grad(lambda p: jnp.mean(loss(scan(cell, p, xs, carry)[1][:, -1])))(params)
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grads)))
    np.testing.assert_allclose(np.exp(flow.parameters), norm, rtol=1e-10)


def test_names_of_the_parts():
    flow = lambda cell: gradient_flow(cell, cell.init(jax.random.key(0), 2), jnp.ones((1, 3, 2)), first)
    assert set(flow(LSTM(2)).parts) == {"c", "h"}
    assert set(flow(RNN(2)).parts) == {""}
    assert set(flow(stack(RNN(2), LSTM(2))).parts) == {"[0]", "[1].c", "[1].h"}


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_left_padding_measures_the_shorter_sequence(poison):
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (3, 6, 2))
    want = gradient_flow(cell, params, xs, first)
    padded = jnp.concatenate([jnp.full((3, 4, 2), poison), xs], axis=1)
    mask = np.broadcast_to(np.arange(10) >= 4, (3, 10))
    got = gradient_flow(cell, params, padded, first, mask=mask)
    np.testing.assert_allclose(got.joint[:, :7], want.joint, rtol=1e-5, atol=1e-6)
    assert np.all(np.isnan(got.joint[:, 7:]))
    np.testing.assert_allclose(got.parameters, want.parameters, rtol=1e-5, atol=1e-6)


def test_ragged_right_padding_ends_at_each_rows_last_step():
    cell = RNN(3)
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (2, 6, 2))
    mask = np.arange(6) < np.array([[4], [6]])
    got = gradient_flow(cell, params, xs, first, mask=mask)
    want = gradient_flow(cell, params, xs[:1, :4], first)
    np.testing.assert_allclose(got.joint[0, 3:7], want.joint[0, 1:], rtol=1e-5)
    np.testing.assert_allclose(got.loss[0], want.loss[0], rtol=1e-6)


def test_a_gradient_of_exactly_zero_is_minus_infinity():
    cell = RNN(2, activation="relu")
    params = cell.init(jax.random.key(0), 1)
    params["project"]["bias"] = jnp.full(2, -100.0)
    flow = gradient_flow(cell, params, jnp.ones((1, 4, 1)), first)
    assert np.all(np.isneginf(flow.joint[:, 1:]))
    assert np.isneginf(flow.parameters)
    assert not np.any(np.isnan(flow.joint))


def test_one_compilation_for_all_lengths():
    cell = GRU(3)
    params = cell.init(jax.random.key(0), 2)
    xs = jnp.ones((2, 9, 2))
    traces = []

    @jax.jit
    def f(mask):
        traces.append(1)
        return gradient_flow(cell, params, xs, first, mask=mask).joint

    for length in range(1, 10):
        f(np.broadcast_to(np.arange(9) >= 9 - length, (2, 9)))
    assert len(traces) == 1


def test_half_life():
    k = np.arange(50)
    assert half_life(-k * np.log(2) / 7) == pytest.approx(7)
    assert half_life(k * np.log(2) / 3) == pytest.approx(-3)
    assert half_life(np.zeros(9)) == np.inf
    assert np.isnan(half_life([-np.inf, 0.0, np.nan]))
    assert half_life(np.where(k < 40, -k * np.log(2), -np.inf)) == pytest.approx(1)


def test_log_mean_is_the_logarithm_of_the_mean():
    logs = np.log(np.array([[1.0, 2.0], [3.0, 6.0]]))
    np.testing.assert_allclose(log_mean(logs), np.log([2.0, 4.0]))
    np.testing.assert_allclose(log_mean(np.full((3, 1), -2000.0)), [-2000.0])
    np.testing.assert_allclose(log_mean(np.array([[np.nan], [0.0]])), [0.0])
    assert np.isneginf(log_mean(np.full((2, 1), -np.inf)))[0]
    assert np.isnan(log_mean(np.full((2, 1), np.nan)))[0]
