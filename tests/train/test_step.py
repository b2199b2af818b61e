"""The training step: plain optax where nothing is asked, and what the options promise."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax.train import (
    make_train_step,
)
from tests.train.problems import (
    KEY,
    LINE,
    SGD,
    data,
    masked_error,
    mean_error,
    run,
    state_of,
)


def test_a_plain_step_is_a_plain_optax_step():
    optimizer, batches = optax.adam(0.1), [data(seed=i) for i in range(5)]

    @jax.jit
    def plain(params, opt_state, batch):
        value, grads = jax.value_and_grad(mean_error)(params, batch, None)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value, optax.tree.norm(grads)

    params, opt_state = jax.tree.map(jnp.asarray, LINE), optimizer.init(LINE)
    state, told = run(make_train_step(mean_error, optimizer), state_of(LINE, optimizer, KEY), batches)
    for batch, metrics in zip(batches, told):
        params, opt_state, value, norm = plain(params, opt_state, batch)
        np.testing.assert_allclose(metrics["loss"].value(), value, rtol=1e-6)
        np.testing.assert_allclose(metrics["norm"].value(), norm, rtol=1e-6)
        assert metrics["skipped"].value() == 0
    # Two programs: XLA may round a product and a sum once in the one and twice in the other.
    chex.assert_trees_all_close((state.params, state.opt_state), (params, opt_state), rtol=3e-7)
    assert int(state.step) == 5


class EveryVariant(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True, with_device=True)
    def test_a_step_is_the_same_with_and_without_jit(self):
        """By hand: SGD on the mean of (x w + b - y)^2, clipped to a norm of 0.5."""
        x, y = data()
        wrong = x @ LINE["w"] - y
        grads = {"b": 2 * wrong.mean(), "w": 2 * (wrong[:, None] * x).mean(0)}
        norm = np.sqrt(grads["b"] ** 2 + (grads["w"] ** 2).sum())
        step = make_train_step(mean_error, SGD, clip=0.5)
        state, metrics = self.variant(step)(step.init(LINE, KEY), (x, y))
        wanted = jax.tree.map(lambda p, g: p - 0.1 * g * 0.5 / norm, LINE, grads)
        chex.assert_trees_all_close(state.params, wanted, rtol=1e-5)
        chex.assert_trees_all_close(metrics["norm"].value(), norm, rtol=1e-5)


def test_each_step_draws_from_its_own_key_and_the_state_can_be_donated():
    def loss(params, batch, key):
        return jnp.sum(params["b"]) * 0, {"draw": jax.random.uniform(key)}

    params, optimizer = jax.tree.map(jnp.asarray, LINE), optax.sgd(0.1)
    start = state_of(params, optimizer, KEY, ema=True)
    base = start.key
    keys = np.array(jax.random.key_data(base))
    _, told = run(make_train_step(loss, optimizer, ema=0.5), start, [data()] * 3)
    base = jax.random.wrap_key_data(keys)
    draws = [float(m["draw"].value()) for m in told]
    assert draws == [float(jax.random.uniform(jax.random.fold_in(base, i))) for i in range(3)]
    chex.assert_trees_all_equal(params, LINE)  # still there
    assert start.params["w"].is_deleted()


def test_the_learning_rate_is_a_metric():
    schedule = optax.linear_schedule(1.0, 0.0, 4)
    optimizer = optax.inject_hyperparams(optax.sgd)(schedule)
    _, told = run(make_train_step(mean_error, optimizer), state_of(LINE, optimizer, KEY), [data()] * 4)
    assert [float(m["learning_rate"].value()) for m in told] == [1.0, 0.75, 0.5, 0.25]


def test_an_optimiser_that_needs_the_loss_gets_it():
    optimizer = optax.chain(optax.sgd(0.0), optax.contrib.reduce_on_plateau(factor=0.5, patience=2))
    state, _ = run(make_train_step(mean_error, optimizer), state_of(LINE, optimizer, KEY), [data()] * 4)
    assert float(state.opt_state[1].scale) == 0.5  # three steps without progress


def test_the_average_of_the_parameters():
    optimizer, state = optax.sgd(0.1), state_of(LINE, optax.sgd(0.1), KEY, ema=True)
    step, average = jax.jit(make_train_step(mean_error, optimizer, ema=0.75)), jax.tree.map(np.float64, LINE)
    for i in range(4):
        state, _ = step(state, data(seed=i))
        average = jax.tree.map(lambda a, p: 0.75 * a + 0.25 * np.float64(p), average, state.params)
    chex.assert_trees_all_close(state.ema, average, rtol=1e-6)


def test_float64_stays_float64(x64):
    params = jax.tree.map(np.float64, LINE)
    optimizer = optax.adam(0.1)
    state, told = run(
        make_train_step(mean_error, optimizer, clip=1e-3, ema=0.5),
        state_of(params, optimizer, KEY, ema=True),
        [data()] * 2,
    )
    for leaf in jax.tree.leaves((state.params, state.ema, told[0]["norm"].total)):
        assert leaf.dtype == np.float64
    assert state.step.dtype == np.int32 and told[0]["norm"].count.dtype == np.int32


def test_many_states_at_once():
    optimizer = optax.adam(0.1)
    step = make_train_step(mean_error, optimizer, clip=1.0)
    starts = [state_of(jax.tree.map(lambda p: p + i, LINE), optimizer, jax.random.key(i)) for i in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    found, _ = jax.jit(jax.vmap(step, in_axes=(0, None)))(stacked, data())
    for i, start in enumerate(starts):
        wanted, _ = jax.jit(step)(start, data())
        chex.assert_trees_all_close(jax.tree.map(lambda leaf: leaf[i], found.params), wanted.params, rtol=1e-6)


@pytest.mark.parametrize("count", [1, 2])
def test_inside_shard_map_with_a_loss_that_sums_over_devices(count):
    def loss(params, batch, key):
        return jax.lax.psum(masked_error(params, batch, key), "data")

    batch, optimizer = (*data(16), np.arange(16) % 3 > 0), optax.sgd(0.1)
    start, spec = state_of(LINE, optimizer, KEY), PartitionSpec("data")
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    step = make_train_step(loss, optimizer, clip=1.0, accumulate=count)
    each = jax.jit(jax.shard_map(step, mesh=mesh, in_specs=(PartitionSpec(), spec), out_specs=PartitionSpec()))
    state, metrics = each(start, batch)
    wanted, told = jax.jit(make_train_step(masked_error, optimizer, clip=1.0))(start, batch)
    chex.assert_trees_all_close((state.params, metrics), (wanted.params, told), rtol=2e-6)
