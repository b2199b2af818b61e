"""Lyapunov exponents: linear maps, determinants, the Hénon map, gaps, flossing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import seqjax as sj
from seqjax import LSTM, RNN, stack
from seqjax.diagnostics import lyapunov_exponents, states
from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError
from tests.diagnostics.test_spectrum import linear

RNG = np.random.default_rng(5)


def test_linear_cell_has_its_eigenvalues():
    rates = np.array([3.0, -1.0, 0.5, 0.01])
    basis = RNG.normal(size=(4, 4))
    matrix = (basis @ np.diag(rates) @ np.linalg.inv(basis)).astype(np.float32)
    cell, params = linear(matrix)
    found = lyapunov_exponents(cell, params, jnp.zeros((2, 90, 1)), warm_up=30)
    np.testing.assert_allclose(found.exponents, [np.log(np.abs(rates))] * 2, atol=1e-3)
    np.testing.assert_allclose(found.entropy, np.log(3), atol=1e-3)
    np.testing.assert_allclose(found.dimension, 3 + np.log(1.5) / np.log(100), atol=1e-3)  # ln 3 - ln 2 is left
    assert found.standard_error.max() < 1e-3
    few = lyapunov_exponents(cell, params, jnp.zeros((1, 90, 1)), count=2, warm_up=(10, 20))
    np.testing.assert_allclose(few.exponents[0], np.log([3, 1]), atol=1e-3)
    assert np.isnan(few.dimension[0])  # their sum is above 0, so that further ones are needed


class Henon(sj.Cell):
    """x' = 1 - 1.4 x^2 + y, y' = 0.3 x."""

    out_features = 2

    def init(self, key, in_features, dtype=jnp.float32):
        return {}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, 2))

    def step(self, params, carry, x):
        u, v = carry[..., 0], carry[..., 1]
        carry = jnp.stack([1 - 1.4 * u**2 + v, 0.3 * u], axis=-1)
        return carry, carry


def test_henon_map():
    """0.4192 and ln 0.3 - 0.4192, dimension 1.258 (Sprott 2003, Chaos and Time-Series Analysis); a free cell."""
    found = lyapunov_exponents(Henon(), {}, jnp.zeros((1, 20_000, 1)), warm_up=(100, 100))
    top, low = np.asarray(found.exponents[0])
    np.testing.assert_allclose(top + low, np.log(0.3), atol=1e-4)  # the determinant is -0.3 everywhere
    assert abs(top - 0.4192) < 4 * found.standard_error[0, 0] < 0.03
    np.testing.assert_allclose(found.dimension, 1.258, atol=0.015)
    np.testing.assert_allclose(found.entropy, top)


CELL = stack(RNN(2), sj.residual(LSTM(2)))


def test_sum_is_that_of_determinants_and_gaps_count_for_nothing(x64):
    params = CELL.init(jax.random.key(0), 2, "float64")
    xs = jnp.asarray(RNG.normal(size=(1, 40, 2)))
    found = lyapunov_exponents(CELL, params, xs, warm_up=8)
    steps = states.run(states.prepare("test", CELL, params, xs, None, None))
    every = jax.vmap(steps.jacobian)(steps.befores, steps.xs)[8:, 0]
    np.testing.assert_allclose(found.exponents.sum(), np.linalg.slogdet(every)[1].mean(), rtol=1e-10)
    assert (np.diff(found.exponents[0]) <= 0).all()
    mask = np.ones((1, 45), bool)
    mask[0, [3, 20, 21, 30, 44]] = False
    gaps = jnp.full((1, 45, 2), jnp.nan).at[mask].set(xs[0])
    got = lyapunov_exponents(CELL, params, gaps, mask=mask, warm_up=9)
    np.testing.assert_allclose(got.exponents, found.exponents, rtol=1e-12)
    np.testing.assert_allclose(got.standard_error, found.standard_error, rtol=1e-12)


@pytest.mark.slow
def test_standard_error_of_batch_means(x64):
    """A driven scalar tanh cell, whose exponent is the mean of ln |w (1 - h^2)|: in NumPy."""
    cell, params = linear(np.array([[0.9]]), "tanh")
    xs = RNG.normal(size=(1, 160, 1))
    found = lyapunov_exponents(cell, params, xs)
    h, logs = 0.0, []
    for x in xs[0, :, 0]:
        h = np.tanh(x * float(params["project"]["kernel"][0, 0]) + 0.9 * h)
        logs.append(np.log(0.9 * (1 - h**2)))
    np.testing.assert_allclose(found.exponents[0, 0], np.mean(logs), rtol=1e-12)
    means = np.reshape(logs, (16, 10)).mean(1)
    np.testing.assert_allclose(found.standard_error[0, 0], means.std(ddof=1) / 4, rtol=1e-10)


@pytest.mark.slow
def test_triangular_law():
    """Gaussian matrices of gain g, drawn anew each step: ln g + ln(1 - i / N) / 2 for large N (Newman 1986)."""
    n, gain = 100, 2.0

    class Fresh(sj.Cell):
        out_features = n
        feature_axes = 2

        def init(self, key, in_features, dtype=jnp.float32):
            return {}

        def initial_carry(self, params, batch_shape=()):
            return jnp.ones((*batch_shape, n))

        def step(self, params, carry, x):
            carry = jnp.einsum("...ij,...j->...i", x, carry)
            return carry * 1e-3, carry

    xs = gain / 1e-3 * jax.random.normal(jax.random.key(0), (1, 200, n, n)) / np.sqrt(n)
    found = lyapunov_exponents(Fresh(), {}, xs, warm_up=20).exponents[0]
    want = np.log(gain) + 0.5 * np.log(1 - (np.arange(n) + 0.5) / n)
    np.testing.assert_allclose(found[:90], want[:90], atol=0.05)


def test_flossing_brings_exponents_to_zero():
    """Engelken 2023: Adam on the mean of the squared exponents. The start is contracting, with exponents near -1."""
    cell = RNN(6, recurrent_init=sj.initializers.normal(0.15))
    params = cell.init(jax.random.key(0), 1)
    xs = 0.3 * jax.random.normal(jax.random.key(1), (1, 20, 1))
    optimizer = optax.adam(0.05)

    def loss(params):
        return jnp.mean(lyapunov_exponents(cell, params, xs, count=3).exponents ** 2)

    @jax.jit
    def step(state, _):
        params, moments = state
        value, grads = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(grads, moments)
        return (optax.apply_updates(params, updates), moments), value

    values = jax.lax.scan(step, (params, optimizer.init(params)), None, length=80)[1]
    assert values[0] > 0.5 and values[-1] < 0.01


@pytest.mark.slow
def test_derivative_is_that_of_differences(x64):
    params = CELL.init(jax.random.key(0), 2, "float64")
    xs = jnp.asarray(RNG.normal(size=(2, 12, 2)))
    value = jax.jit(lambda params: jnp.sum(lyapunov_exponents(CELL, params, xs, count=4, warm_up=2).exponents ** 2))
    way = jax.tree.map(lambda a: jnp.asarray(RNG.normal(size=a.shape)), params)
    at = lambda e: float(value(jax.tree.map(lambda p, w: p + e * w, params, way)))
    slope = sum(jnp.sum(a * b) for a, b in zip(jax.tree.leaves(jax.grad(value)(params)), jax.tree.leaves(way)))
    np.testing.assert_allclose(slope, (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-6)


XS = jnp.ones((2, 3, 2))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda f, p: f(LSTM(2), p, XS[0]), ArgumentError, r"lyapunov_exponents: .*Pass xs\[None\]"),
        (lambda f, p: f(LSTM, p, XS), ArgumentTypeError, "Write LSTM"),
        (lambda f, p: f(LSTM(2), p, jnp.ones((2, 3, 5))), ArgumentError, "xs has 5 features"),
        (lambda f, p: f(LSTM(2), p, XS, mask=jnp.ones((3, 2), bool)), ArgumentError, "Axes swapped"),
        (lambda f, p: f(LSTM(2), p, XS, count=5), ArgumentError, "count must be at most 4, .* found 5"),
        (lambda f, p: f(LSTM(2), p, XS, count=0), ArgumentError, "count must be .* at least 1, found 0"),
        (lambda f, p: f(LSTM(2), p, XS, count=1.0), ArgumentTypeError, "count must be a whole number, found 1.0"),
        (lambda f, p: f(LSTM(2), p, XS, warm_up=3), ArgumentError, "must leave steps .* found 3 of 3 steps"),
        (lambda f, p: f(LSTM(2), p, XS, warm_up=(1, 2)), ArgumentError, r"must leave steps .* found \(1, 2\)"),
        (lambda f, p: f(LSTM(2), p, XS, warm_up=-1), ArgumentError, "warm_up must be .* at least 0, found -1"),
        (lambda f, p: f(LSTM(2), p, XS, warm_up=0.1), ArgumentTypeError, "warm_up must be a whole number"),
        (lambda f, p: f(sj.Dense(2), sj.Dense(2).init(jax.random.key(0), 2), XS), ArgumentError, "no floating point"),
        (lambda f, p: f(sj.bidirectional(LSTM(2)), {"forward": p, "backward": p}, XS), NotCausalError, "no step"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call(lyapunov_exponents, LSTM(2).init(jax.random.key(0), 2))
