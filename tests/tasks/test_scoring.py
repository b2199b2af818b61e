"""Loss and score: means over the steps that count, whatever stands elsewhere; and a model that learns."""

import chex
import jax
import numpy as np
import optax
import pytest

from seqjax import GRU, Dense, Embed, scan, stack, tasks
from tests.tasks.cases import case, draw


@pytest.mark.parametrize("name", ["adding", "stack_manipulation"])
def test_perfect_outputs_and_what_does_not_count(name):
    task = case(name).task
    batch = jax.tree.map(lambda a: a[:16], draw(name, 0, True))
    perfect = batch.targets if isinstance(task, tasks.Regression) else 50 * np.eye(task.out_features)[batch.targets]
    perfect = np.asarray(perfect, np.float32)
    assert float(task.loss(perfect, batch)) < 1e-6
    assert float(task.score(perfect, batch)) == pytest.approx(1.0 if task.score_name == "accuracy" else 0.0, abs=1e-6)
    outputs = np.random.default_rng(0).normal(size=perfect.shape).astype(np.float32)
    value_and_grad = jax.jit(jax.value_and_grad(task.loss))
    value, gradient = value_and_grad(outputs, batch)
    for waste in (np.nan, np.inf, 3e38):
        dirty = np.where(batch.weights[..., None], outputs, np.float32(waste))
        chex.assert_trees_all_equal(value_and_grad(dirty, batch), (value, gradient))
        np.testing.assert_array_equal(task.score(dirty, batch), task.score(outputs, batch))
    assert (np.abs(gradient).sum(axis=-1) > 0).tolist() == batch.weights.tolist()


@pytest.mark.slow
def test_a_gru_learns_even_pairs():
    """Synthetic inside `lax.scan`, with lengths 3 to 8: far better than any blind answer at length 12."""
    task = tasks.even_pairs
    model = stack(Embed(task.vocabulary, 8), GRU(12), Dense(task.out_features))
    optimiser = optax.adam(4e-2)

    def outputs(params, batch):
        return scan(model, params, batch.inputs, lengths=batch.lengths)[1]

    def step(state, key):
        params, moments = state
        batch = task.sample(key, 64, 8, jax.random.randint(key, (64,), 3, 9))
        loss, gradient = jax.value_and_grad(lambda p: task.loss(outputs(p, batch), batch))(params)
        updates, moments = optimiser.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), loss

    params = model.init(jax.random.key(0), task.in_features)
    state = (params, optimiser.init(params))
    (params, _), losses = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(1), 120)))(state)
    batch = task.sample(jax.random.key(2), 500, 12)
    assert float(task.score(outputs(params, batch), batch)) > 0.9
    assert float(losses[-1]) < 0.3 < 0.6 < float(losses[0])


@pytest.mark.parametrize("name", ["delayed_xor", "adding_1997"])
def test_loss_and_score_are_means_over_the_steps_that_count(name):
    task, length = case(name).task, case(name).length
    batch = jax.tree.map(lambda a: a[:8], draw(name, 0, True))
    outputs = np.random.default_rng(1).normal(size=(8, length, task.out_features)).astype(np.float32)
    mask, targets = batch.weights, batch.targets
    if name == "adding_1997":
        loss = score = np.mean((outputs[mask] - targets[mask]) ** 2)
    else:
        p = np.exp(outputs[mask].astype(np.float64))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(p)), targets[mask]]).mean()
        score = (outputs[mask].argmax(axis=1) == targets[mask]).mean()
    np.testing.assert_allclose(task.loss(outputs, batch), loss, rtol=1e-5)
    np.testing.assert_allclose(task.score(outputs, batch), score, rtol=1e-5)
