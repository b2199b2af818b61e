"""Signal to noise over examples: against plain autodiff of each example, and cases known by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Dense, Embed, scan, stack, trace
from seqjax.diagnostics import signal_to_noise
from seqjax.diagnostics.scaled import log_norms

N, T = 4, 5
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]], bool)


def loss(ys):
    return jnp.sum(jnp.sin(ys + jnp.arange(ys.size).reshape(ys.shape)), axis=(1, 2))


def ratio(rows):
    """|G|^2 and tr Cov from their definitions."""
    noise = np.sum(np.var(rows, axis=0, ddof=1))
    return np.sum(np.mean(rows, axis=0) ** 2) - noise / len(rows), noise


SLOW = [
    pytest.param(stack(GRU(3), Dense(2)), "0/h", marks=pytest.mark.slow, id="stack"),
    pytest.param(LSTM(2), "c", marks=pytest.mark.slow, id="lstm"),
]


@pytest.mark.parametrize("cell, path", [pytest.param(RNN(2), "h", id="rnn"), *SLOW])
def test_equals_the_definitions(x64, cell, path):
    params = cell.init(jax.random.key(0), 2, "float64")
    xs = jax.random.normal(jax.random.key(1), (N, T, 2)) * 0.3 + 1
    found = signal_to_noise(cell, params, xs, loss, mask=MASK, outputs="all")
    probe = jnp.zeros(trace(cell, params, xs)[2][path].shape)
    states = jax.jit(jax.grad(lambda p: jnp.sum(loss(trace(cell, params, xs, add={path: p}, mask=MASK)[1]))))(probe)
    for t in range(T):
        signal, noise = ratio(np.asarray(states)[MASK[:, t], t])
        np.testing.assert_allclose(found.layers[path][t], max(signal, 0) / noise, rtol=1e-6)
    rows = jax.jit(jax.jacobian(lambda p: loss(scan(cell, p, xs, mask=MASK)[1])))(params)
    flat = np.concatenate([np.reshape(leaf, (N, -1)) for leaf in jax.tree.leaves(rows)], axis=1)[:3]
    signal, noise = ratio(flat)
    np.testing.assert_allclose(found.noise_scale, noise / signal if signal > 0 else np.inf, rtol=1e-8)
    gsnr = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found.parameters)])
    np.testing.assert_allclose(gsnr, np.mean(flat, 0) ** 2 / np.var(flat, 0, ddof=1), rtol=1e-7)


def linear(w):
    cell = RNN(1, activation="identity")
    params = cell.init(jax.random.key(0), 1)
    params["mix"]["kernel"] = jnp.full((1, 1), w)
    return cell, params


def test_equal_examples_are_signal_alone():
    cell, params = linear(0.5)
    found = signal_to_noise(cell, params, jnp.ones((4, 200, 1)), lambda y: y[:, 0])
    assert np.all(np.isposinf(found.layers["h"]))
    assert found.noise_scale < 1e-9


def test_opposite_examples_are_noise_alone_however_small():
    """1e-3^200 = 1e-600 is far below float32, and the ratio is of one size at every step."""
    cell, params = linear(1e-3)
    found = signal_to_noise(cell, params, jnp.ones((4, 200, 1)), lambda y: y[:, 0] * jnp.array([1.0, -1.0, 2.0, -2.0]))
    np.testing.assert_array_equal(found.layers["h"], 0)
    assert np.isposinf(found.noise_scale)
    found = signal_to_noise(cell, params, jnp.ones((4, 200, 1)), lambda y: y[:, 0] * jnp.array([1.0, 3.0, 3.0, 1.0]))
    np.testing.assert_allclose(found.layers["h"], (4 - 1 / 3) / (4 / 3), rtol=1e-5)  # mean 2, variance 4/3, of four


def test_agreement_of_rows_of_any_scale():
    """2^1000 + 2^1000 - 2^1001 = 0, beside a row that is not real."""
    rows = jnp.array([[1.0], [1.0], [-1.0], [1.0]])
    real = jnp.array([True, True, True, False])
    assert log_norms(rows, jnp.array([1000, 1000, 1001, 3000]), real).agreement == 0
    two_of_three = log_norms(rows, jnp.array([1000, 1000, -3000, 3000]), real)
    np.testing.assert_allclose(two_of_three.agreement, 4 / (3 * 2), rtol=1e-6)
    assert np.isnan(log_norms(0 * rows, jnp.zeros(4, int), real).agreement)


@pytest.mark.slow
def test_noise_of_many_samples_is_near_its_scale():
    """y = w x, x of mean 1 and variance 4: tr Cov / |G|^2 = 4 for w alone; the bias adds 1 to |G|^2."""
    cell = Dense(1)
    params = cell.init(jax.random.key(0), 1)
    xs = 1 + 2 * jax.random.normal(jax.random.key(1), (2000, 1, 1))
    found = signal_to_noise(cell, params, xs, lambda y: y[:, 0])
    np.testing.assert_allclose(found.noise_scale, 2.0, rtol=0.15)  # standard error 0.1
    np.testing.assert_allclose(found.parameters["kernel"], 0.25, rtol=0.25)


@pytest.mark.slow
def test_token_ids_and_jit():
    model = stack(Embed(5, 3), GRU(2))
    params = model.init(jax.random.key(0), 1)
    ids = np.array([[0, 1, 2], [3, 4, 0]])
    last = lambda y: y[:, 0]
    plain = signal_to_noise(model, params, ids, last)
    compiled = jax.jit(lambda p: signal_to_noise(model, p, ids, last))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), plain, compiled)
    assert np.all(np.isnan(plain.parameters["0"]["table"][1]) | (plain.parameters["0"]["table"][1] >= 0))


def test_what_cannot_be_right_is_named():
    cell, params = linear(0.5)
    with pytest.raises(sj.ArgumentError, match="two examples or more.*found a batch of 1"):
        signal_to_noise(cell, params, jnp.ones((1, 8, 1)), lambda y: y[:, 0])
    with pytest.raises(sj.ArgumentError, match="signal_to_noise: outputs must be 'last' or 'all', found 'mean'"):
        signal_to_noise(cell, params, jnp.ones((2, 8, 1)), lambda y: y[:, 0], outputs="mean")
    with pytest.raises(sj.ArgumentError, match="signal_to_noise: loss gave shape"):
        signal_to_noise(cell, params, jnp.ones((2, 8, 1)), jnp.sum)
