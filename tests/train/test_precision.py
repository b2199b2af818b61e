"""Micro-batches, and computation in bfloat16."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax import LSTM, Dense, scan, stack
from seqjax.batching.batch import Batch
from seqjax.losses import squared_error
from seqjax.train import (
    Mean,
    make_train_step,
)
from tests.train.problems import (
    KEY,
    LINE,
    data,
    drawn,
    masked_error,
    mean_error,
    run,
    state_of,
)


@pytest.mark.parametrize("count", [2, 4])
def test_accumulated_steps_are_whole_steps_under_uneven_masks(count):
    mask = np.array([1, 1, 0, 1, 0, 0, 0, 1], bool)  # with 4 parts one of them has nothing that counts
    batch, optimizer = (*data(), mask), optax.sgd(0.1)
    assert count < 4 or any(not mask[i::4].any() for i in range(4))
    start = state_of(LINE, optimizer, KEY)
    one, whole = make_train_step(masked_error, optimizer)(start, batch)
    many, parts = jax.jit(make_train_step(masked_error, optimizer, accumulate=count))(start, batch)
    chex.assert_trees_all_close((many.params, parts), (one.params, whole), rtol=2e-6, atol=1e-7)
    assert int(parts["loss"].count) == 4


def test_accumulated_scalars_are_averaged_and_each_part_has_its_key():
    def loss(params, batch, key):
        return mean_error(params, batch, key), {"draw": jax.random.uniform(key), "first": batch[0][0, 0]}

    (x, y), optimizer = data(), optax.sgd(0.1)
    start = state_of(LINE, optimizer, KEY)
    state, metrics = jax.jit(make_train_step(loss, optimizer, accumulate=4))(start, (x, y))
    wanted, _ = make_train_step(mean_error, optimizer)(start, (x, y))
    chex.assert_trees_all_close(state.params, wanted.params, rtol=2e-6)
    keys = jax.random.split(jax.random.fold_in(start.key, 0), 4)
    np.testing.assert_allclose(metrics["draw"].value(), np.mean([jax.random.uniform(k) for k in keys]), rtol=1e-6)
    np.testing.assert_allclose(metrics["first"].value(), x[:4, 0].mean(), rtol=1e-6)  # part i begins with row i


def recurrent():
    """16 steps in all, a power of two: then the gradient of a total over 16 is that of the mean, bit for bit."""
    model = stack(LSTM(4), Dense(2))
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(4, 4, f)).astype(np.float32) for f in (3, 2))
    batch = Batch(x, y, np.ones((4, 4), bool), np.full(4, 4, np.int32))
    return model, drawn(model, 3), batch


def test_bfloat16_computes_in_bfloat16_and_keeps_float32():
    model, params, batch = recurrent()
    seen = {}

    def loss(params, batch, key):
        carry, ys = scan(model, params, batch.inputs)
        seen.update(params=params, inputs=batch.inputs, ys=ys, carry=carry, targets=batch.targets)
        return Mean.of(squared_error(ys, batch.targets), batch.weights)

    optimizer = optax.adam(0.1)
    step = jax.jit(make_train_step(loss, optimizer, clip=100.0, precision="bfloat16"))
    state, metrics = step(state_of(params, optimizer, KEY), batch)
    dtypes = {name: {leaf.dtype.name for leaf in jax.tree.leaves(tree)} for name, tree in seen.items()}
    assert dtypes == {
        "params": {"bfloat16"},
        "inputs": {"bfloat16"},
        "ys": {"bfloat16"},
        "carry": {"float32"},
        "targets": {"float32"},
    }
    floats = [leaf for leaf in jax.tree.leaves((state, metrics)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert {leaf.dtype.name for leaf in floats} == {"float32"}
    # By hand: the gradient of the loss at the rounded parameters, applied to those that are not rounded.
    low = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    wanted = jax.jit(jax.grad(lambda p: loss(p, batch._replace(inputs=jnp.bfloat16(batch.inputs)), None).value()))(low)
    chex.assert_trees_all_close(
        optax.tree.get(state.opt_state, "mu"), jax.tree.map(lambda g: 0.1 * g.astype(jnp.float32), wanted), rtol=1e-6
    )


def test_small_updates_reach_the_masters():
    """1 + 2^-12 is 1 in bfloat16, so that parameters in bfloat16 would stand still."""
    loss = lambda params, batch, key: jnp.sum(params["w"])
    state = state_of({"w": np.ones(1, np.float32)}, optax.sgd(2**-12), KEY)
    state, _ = run(make_train_step(loss, optax.sgd(2**-12), precision="bfloat16"), state, [data()] * 8)
    assert float(state.params["w"][0]) == 1 - 8 * 2**-12
