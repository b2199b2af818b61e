"""Cells whose recurrences are linear, against their papers in NumPy, and over many steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj

D, F, T, B = 3, 4, 140, 2  # T: more than two blocks
ENGINES = ("scan", "associative")
CELLS = (sj.MinGRU(F), sj.MinLSTM(F), sj.LRU(F, states=5, r_min=0.5))


def random_params(cell, scale=0.5):
    params = cell.init(jax.random.key(0), D)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape) * scale), params)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_min_gru(p, xs):
    """Feng et al. 2024, section 3.1: h_t = (1 - z_t) h_{t-1} + z_t h~_t, where 1 - z is u."""
    kernel, bias = (np.asarray(p["project"][name]) for name in ("kernel", "bias"))
    h, ys = np.zeros((len(xs), F)), []
    for x in np.moveaxis(xs, 1, 0):
        keep, new = np.split(x @ kernel + bias, 2, axis=-1)
        z = sigmoid(-keep)
        h = (1 - z) * h + z * new
        ys.append(h)
    return np.stack(ys, 1)


def numpy_min_lstm(p, xs):
    """Feng et al. 2024, section 3.2, with f' = f / (f + i) and i' = i / (f + i)."""
    kernel, bias = (np.asarray(p["project"][name]) for name in ("kernel", "bias"))
    h, ys = np.zeros((len(xs), F)), []
    for x in np.moveaxis(xs, 1, 0):
        i, f, new = np.split(x @ kernel + bias, 3, axis=-1)
        i, f = sigmoid(i), sigmoid(f)
        h = f / (f + i) * h + i / (f + i) * new
        ys.append(h)
    return np.stack(ys, 1)


def numpy_lru(p, xs):
    """Orvieto et al. 2023, equations 2 and 6 and the listing of their appendix A."""
    ring, n = {k: np.asarray(v, np.float64) for k, v in p["ring"].items()}, p["ring"]["nu_log"].size
    lam = np.exp(-np.exp(ring["nu_log"]) + 1j * np.exp(ring["theta_log"]))
    b, c, d = (np.asarray(p[name]["kernel"], np.float64) for name in ("project", "read", "skip"))
    b, c = b[:, :n] + 1j * b[:, n:], c[:n] + 1j * c[n:]
    h, ys = np.zeros((len(xs), n), complex), []
    for x in np.moveaxis(xs, 1, 0):
        h = lam * h + np.exp(ring["gamma_log"]) * (x @ b)
        ys.append((h @ c).real + x @ d)
    return np.stack(ys, 1)


REFERENCES = dict(zip(CELLS, (numpy_min_gru, numpy_min_lstm, numpy_lru)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS, ids=repr)
def test_it_is_the_paper(x64, cell, engine):
    params, xs = random_params(cell), np.random.default_rng(1).normal(size=(B, T, D))
    found = sj.scan(cell, params, xs, engine=engine)[1]
    np.testing.assert_allclose(found, REFERENCES[cell](params, xs), rtol=1e-11, atol=1e-12)


def test_gates_that_are_both_closed_give_a_mean(x64):
    """f / (f + i) is not 0 / 0."""
    cell = sj.MinLSTM(1)
    params = cell.init(jax.random.key(0), 1)
    params["project"] = {"kernel": jnp.zeros((1, 3)), "bias": jnp.array([-1000.0, -1000.0, 1.0])}
    grads, ys = jax.grad(lambda p: (lambda ys: (jnp.sum(ys), ys))(sj.scan(cell, p, jnp.ones((2, 1)))[1]), has_aux=True)(
        params
    )
    assert ys.ravel().tolist() == [0.5, 0.75]
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(grads))


def test_the_ring_of_an_lru():
    cell = sj.LRU(2000, r_min=0.6, r_max=0.9, max_phase=1.0)
    ring = cell.init(jax.random.key(0), 1)["ring"]
    radius, angle = np.exp(-np.exp(ring["nu_log"])), np.exp(ring["theta_log"])
    assert (
        0.6 <= radius.min() < 0.605 and 0.895 < radius.max() <= 0.9 and 0 < angle.min() < 0.01 < 0.99 < angle.max() <= 1
    )
    np.testing.assert_allclose(np.mean(radius**2), (0.36 + 0.81) / 2, rtol=0.02)  # evenly over the area
    np.testing.assert_allclose(np.exp(2 * ring["gamma_log"]), 1 - radius**2, rtol=1e-4)
    # As large as what comes in: the mean square of h is that of B x, after the longest memory has passed.
    params, xs = cell.init(jax.random.key(0), 1), jax.random.normal(jax.random.key(1), (4, 200, 1))
    h = sj.scan(cell, params, xs)[0]
    assert 0.7 < np.mean(np.abs(h) ** 2) < 1.4


@pytest.mark.parametrize("wrong", [{"r_min": 0.9, "r_max": 0.5}, {"r_max": 1.5}, {"max_phase": 0.0}, {"states": 0}])
def test_no_ring_is_refused(wrong):
    with pytest.raises(sj.ArgumentError, match="LRU"):
        sj.LRU(4, **wrong)
    with pytest.raises(sj.ArgumentTypeError, match="r_min must be a number"):
        sj.LRU(4, r_min="0")


LONG = 10_000
REMEMBERING = (
    sj.MinGRU(F, bias_init=sj.initializers.chrono(LONG)),
    sj.MinLSTM(F, bias_init=sj.initializers.chrono(LONG)),
    sj.LRU(F, r_min=0.99, r_max=0.99999),
)
TOLERANCES = {"float32": 5e-5, "bfloat16": 1e-2}
"""Of the largest output. Found 9e-6 and 5e-3, where an output of bfloat16 itself is rounded by up to 4e-3."""


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", REMEMBERING, ids=lambda cell: type(cell).__name__)
def test_many_factors_lose_no_precision(cell, dtype):
    """Memories of up to 10,000 steps, against a loop in float64 with the same parameters and inputs."""
    params = cell.init(jax.random.key(0), D, jnp.dtype(dtype))
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(1, LONG, D)), dtype)
    wide = jax.tree.map(lambda a: np.asarray(a, np.float64), (params, xs))
    want = {type(c): reference for c, reference in REFERENCES.items()}[type(cell)](*wide)
    for engine in ENGINES:
        ys = np.asarray(sj.scan(cell, params, xs, engine=engine)[1], np.float64)
        assert np.max(np.abs(ys - want)) < TOLERANCES[dtype] * np.max(np.abs(want)), engine
