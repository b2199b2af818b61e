"""Recurrent matrices, mean-field depth and parameter sensitivity: closed forms and plain autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, stack
from seqjax.core import gating
from seqjax.diagnostics import (
    depth_scale,
    diagonal_moments,
    gain_bound,
    gradient_flow,
    parameter_sensitivity,
    spectral_norm,
    spectral_radius,
)
from seqjax.diagnostics.matrices import SLOPES
from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError
from tests.diagnostics.test_spectrum import linear

RNG = np.random.default_rng(7)


def test_radius_and_norm_of_every_gate_and_layer():
    """Against NumPy, gate by gate."""
    init = sj.initializers.normal(0.5)
    model = stack(top=sj.repeat(LSTM(3, recurrent_init=init), 2), gru=GRU(2, reset_after=False), out=sj.Dense(1))
    params = model.init(jax.random.key(0), 3)
    radius, norm = spectral_radius(params), jax.jit(spectral_norm)(params)
    assert sorted(radius) == sorted(norm) and {path: r.shape for path, r in radius.items()} == {
        "top/mix/kernel": (2, 4),
        "gru/mix/kernel": (3,),
    }
    kernel = np.asarray(params["top"]["mix"]["kernel"])
    for layer in range(2):
        for gate in range(4):
            u = kernel[layer, :, 3 * gate : 3 * gate + 3]
            found = radius["top/mix/kernel"][layer, gate]
            np.testing.assert_allclose(found, np.abs(np.linalg.eigvals(u)).max(), rtol=1e-5)
            np.testing.assert_allclose(norm["top/mix/kernel"][layer, gate], np.linalg.norm(u, 2), rtol=1e-5)


@pytest.mark.parametrize("name", gating.ACTIVATIONS)
def test_slopes_of_activations(name):
    """The largest on a fine grid, and never above what is written down."""
    slope = jax.vmap(jax.grad(gating.activation(name)))(jnp.linspace(-6.0, 6.0, 20_001))
    largest = float(jnp.max(jnp.abs(slope)))
    assert largest <= SLOPES[name] * (1 + 1e-6) and SLOPES[name] - largest < 3e-3


@pytest.mark.slow
def test_bound_holds_for_gradient_flow():
    cell = RNN(5, activation="silu", recurrent_init=sj.initializers.normal(0.3))
    params = cell.init(jax.random.key(0), 2)
    flow = gradient_flow(cell, params, jax.random.normal(jax.random.key(1), (3, 20, 2)), lambda y: y[:, 0]).joint
    growth = np.diff(np.asarray(flow), axis=1)
    assert growth.max() <= np.log(gain_bound(cell, params)) + 1e-5


def test_depth_scale_of_known_matrices():
    """An orthogonal matrix is critical; tanh at h = 0 has chi = |W|_F^2 / n; unreal steps count for nothing."""
    assert abs(float(depth_scale(*linear(np.eye(3, dtype=np.float32)), jnp.zeros((1, 4, 1))).depth[0])) > 1e5
    matrix = RNG.normal(size=(3, 3)).astype(np.float32)
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 1]], bool)
    found = depth_scale(*linear(matrix, "tanh"), jnp.where(mask[..., None], 0, jnp.nan), mask=mask)
    np.testing.assert_allclose(found.chi, [(matrix**2).sum() / 3] * 2, rtol=1e-5)
    np.testing.assert_allclose(found.depth, -1 / np.log(found.chi), rtol=1e-6)


@pytest.mark.slow
def test_depth_scale_of_a_wide_random_network():
    """Schoenholz et al. 2017: chi = sigma_w^2 E tanh'(u)^2 with u ~ N(0, q) at the fixed point q, no bias."""
    n, gain = 400, 1.5
    cell = RNN(n, recurrent_init=sj.initializers.normal(gain / np.sqrt(n)))
    params = cell.init(jax.random.key(0), 1)
    carry = jax.random.normal(jax.random.key(1), (1, n))
    grid = np.linspace(-8, 8, 4001)
    weights = np.exp(-(grid**2) / 2) / np.exp(-(grid**2) / 2).sum()
    q = 1.0
    for _ in range(300):
        q = gain**2 * (weights * np.tanh(np.sqrt(q) * grid) ** 2).sum()
    chi = gain**2 * (weights * np.cosh(np.sqrt(q) * grid) ** -4.0).sum()
    found = depth_scale(cell, params, jnp.zeros((1, 12, 1)), carry, mask=None).chi
    np.testing.assert_allclose(found, chi, rtol=0.15)


@pytest.mark.parametrize("value", [0.0, 0.8, -0.5, 0.6 + 0.5j])
def test_moments_of_a_linear_unit(x64, value):
    """Sums over the impulse response: h = sum lambda^j x_(t-j), dh/dlambda = sum j lambda^(j-1) x_(t-j)."""
    correlation = np.array([1.0, 0.6, 0.2, -0.1])
    j = np.arange(400)
    kernel = np.concatenate([correlation, np.zeros(396)])[np.abs(j[:, None] - j)]
    h = np.asarray(value, complex) ** j
    s = np.concatenate([[0], j[1:] * np.asarray(value, complex) ** (j[1:] - 1)])
    want = [(a.conj() @ kernel @ a).real for a in (h, s)]
    np.testing.assert_allclose(diagonal_moments(np.array([value]), correlation), np.array(want)[:, None], rtol=1e-10)


def test_moments_end_where_there_is_no_stationary_state():
    power, sensitivity = diagonal_moments(jnp.array([[0.5, 1.0, -2.0]]), jnp.array([2.0]))
    np.testing.assert_allclose(power, [[2 / 0.75, np.inf, np.inf]])
    np.testing.assert_allclose(sensitivity, [[2 * 1.25 / 0.75**3, np.inf, np.inf]], rtol=1e-6)


@pytest.mark.slow
def test_sensitivity_is_the_norm_of_the_derivative(x64):
    """Many probes against jax.jacobian of the carry in all parameters, with gaps."""
    cell = LSTM(2)
    params = cell.init(jax.random.key(0), 2, "float64")
    mask = np.array([[True, False, True, True]])
    xs = np.where(mask[..., None], RNG.normal(size=(1, 4, 2)), np.nan)
    start = cell.initial_carry(params, (1,))
    found = parameter_sensitivity(cell, params, xs, start, mask=mask, probes=4000)
    assert np.isnan(found[0, 1])
    for end in (1, 4):
        whole = jax.jacobian(lambda p, end=end: sj.scan(cell, p, xs[:, :end], start, mask=mask[:, :end])[0])(params)
        norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(whole)))
        np.testing.assert_allclose(np.exp(found[0, end - 1]), norm, rtol=0.03)  # of 4,000 probes


class Power(sj.Cell):
    """h' = a h, with a its only parameter: dh_t/da = t a^(t-1) h_0."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"a": jnp.asarray(0.25, dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.ones((*batch_shape, 1))

    def step(self, params, carry, x):
        return params["a"] * carry, carry


def test_sensitivity_beyond_floats():
    """4^-60 = 1e-36 and on to 1e-41, where h itself is lost: its logarithm is right as long as h is there."""
    found = parameter_sensitivity(Power(), {"a": jnp.asarray(0.25)}, jnp.zeros((1, 60, 1)), probes=1)[0]
    t = np.arange(1, 61)
    shape = np.log(t) + (t - 1) * np.log(0.25)
    np.testing.assert_allclose(found - found[0], shape, atol=1e-4)  # the one probe is a factor for all steps


XS = jnp.ones((2, 3, 2))
LSTM_PARAMS = LSTM(2).init(jax.random.key(0), 2)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda p: spectral_radius(LSTM(2)), ArgumentTypeError, "params must be a dict .*found LSTM"),
        (lambda p: spectral_norm([p]), ArgumentTypeError, "spectral_norm: params must be a dict .*found list"),
        (lambda p: spectral_radius({}), ArgumentError, "no recurrent matrix"),
        (lambda p: spectral_norm({"kernel": jnp.ones((2, 2))}), ArgumentError, r"a kernel \[F, G F\] under 'mix'"),
        (lambda p: gain_bound(LSTM(2), p), ArgumentTypeError, "expected an RNN, found LSTM"),
        (lambda p: gain_bound(stack(RNN(2)), {"0": p}), ArgumentTypeError, "Pass one of its cells"),
        (lambda p: gain_bound(RNN(2), {"0": p}), ArgumentError, "found matrices at 0/mix/kernel"),
        (lambda p: depth_scale(LSTM(2), p, XS[0]), ArgumentError, r"depth_scale: .*Pass xs\[None\]"),
        (lambda p: depth_scale(sj.Dense(2), sj.Dense(2).init(jax.random.key(0), 2), XS), ArgumentError, "no floating"),
        (
            lambda p: depth_scale(sj.bidirectional(LSTM(2)), {"forward": p, "backward": p}, XS),
            NotCausalError,
            "no step",
        ),
        (lambda p: parameter_sensitivity(LSTM(2), p, XS, probes=0), ArgumentError, "probes must be .* at least 1"),
        (lambda p: parameter_sensitivity(LSTM(2), p, XS[:, :0]), ArgumentError, "at least one step"),
        (lambda p: diagonal_moments(jnp.array([0.5]), jnp.array(1.0)), ArgumentError, r"found shape \(\)"),
        (lambda p: diagonal_moments(jnp.array([0.5]), jnp.array([])), ArgumentError, "White noise"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call(LSTM_PARAMS)
