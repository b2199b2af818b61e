"""The parts of temporal_order that could be wrong unseen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from experiments import temporal_order
from experiments.harness import records
from experiments.harness.compare import compare
from seqjax import plot
from tests.experiments.makers import RNG


def test_smart_tanh_is_the_papers():
    params = temporal_order.smart_tanh(6, 50, 3)
    mix = np.asarray(params["0"]["mix"]["kernel"], np.float64)
    assert ((mix != 0).sum(1) == 15).all()
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(mix)).max(), 0.95, rtol=1e-5)
    assert np.std(params["0"]["project"]["kernel"]) == pytest.approx(0.01, rel=0.1)
    fresh = sj.stack(sj.RNN(50), sj.Dense(4)).init(jax.random.key(0), 6)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, fresh)


def test_regulariser_against_its_definition():
    """Jacobians by autodiff, a sum over steps in NumPy, and a gradient that moves U in one product alone."""
    with jax.enable_x64(True):
        batch, length, width = 3, 5, 4
        mix, start, inputs, last = (
            RNG.normal(size=s) for s in ((width, width), (batch, width), (length, batch, width), (batch, width))
        )
        hs = []
        for x in inputs:
            hs.append(np.tanh(x + (hs[-1] if hs else start) @ mix))
        terms = np.zeros((length, batch))

        def omega(weights):
            gradient = last
            for t in reversed(range(length)):
                before = (gradient * (1 - hs[t] ** 2)) @ weights.T
                terms[t] = ((before**2).sum(1) / (gradient**2).sum(1) - 1) ** 2
                gradient = (gradient * (1 - hs[t] ** 2)) @ mix.T  # constants: of the unmoved matrix
            return terms.mean()

        # the vector-Jacobian product of one step is what the recursion says
        h, pull = jax.vjp(lambda before: jnp.tanh(inputs[4] + before @ mix), hs[3])
        np.testing.assert_allclose(pull(last)[0], (last * (1 - hs[4] ** 2)) @ mix.T, rtol=1e-12)
        states = jnp.swapaxes(jnp.asarray(hs), 0, 1)
        value, slope = jax.value_and_grad(temporal_order.regulariser)(jnp.asarray(mix), states, jnp.asarray(last))
        np.testing.assert_allclose(value, omega(mix), rtol=1e-12)
        for i, j in ((0, 0), (1, 3), (2, 1)):
            step = np.zeros_like(mix)
            step[i, j] = 1e-6
            np.testing.assert_allclose(slope[i, j], (omega(mix + step) - omega(mix - step)) / 2e-6, rtol=1e-6)


def test_regulariser_leaves_out_steps_without_gradient():
    hs = jnp.full((2, 3, 4), 0.5)
    last = jnp.stack([jnp.ones(4), jnp.zeros(4)])
    mix = jnp.eye(4)
    alone = temporal_order.regulariser(mix, hs[:1], last[:1])
    np.testing.assert_allclose(temporal_order.regulariser(mix, hs, last), alone, rtol=1e-6)
    assert np.isfinite(jax.grad(temporal_order.regulariser)(mix, hs, last)).all()
    assert temporal_order.regulariser(mix, hs, jnp.zeros((2, 4))) == 0


def test_success_by_length_is_the_share_of_seeds(here, monkeypatch):
    drawn = []
    monkeypatch.setattr(temporal_order, "study", lambda config, method, problem, folder: [
        {"length": problem.length, "method": method, "wrong_share": 0.5, "solved": problem.length <= 10 * config.seed}
    ])  # fmt: skip
    trend = plot.trend
    monkeypatch.setattr(plot, "trend", lambda *given, **options: drawn.append(given) or trend(*given, **options))
    for seed in (1, 2, 3):
        temporal_order.main(temporal_order.Config(lengths=(20, 10, 40), methods=("SGD", "SGD-C"), seed=seed))
    compare(list(records.every(here / "runs")[0]))
    lines, *words = drawn[-1]
    assert lines.keys() == {"SGD", "SGD-C"}
    np.testing.assert_allclose(lines["SGD"], [(10, 1, np.nan), (20, 2 / 3, np.nan), (40, 0, np.nan)])
    assert words == ["length", "solved, share of the seeds", "temporal_order"]
