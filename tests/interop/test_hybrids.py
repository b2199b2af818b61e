"""Recurrent nets and attention in one model: trained, saved and read back, decoded step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

import optax

import seqjax as sj
from seqjax import batching, losses, train
from seqjax.checkpoint import Checkpoints, load, save_model
from seqjax.core.scan import scan_fresh
from seqjax.interop import as_cell
from seqjax.nn import TransformerBlock
from tests.checkpoint.trees import assert_same_bits

BLOCK = as_cell(TransformerBlock, 8, 2, capacity=16, dropout=0.1)
MODEL = sj.stack(embed=sj.Embed(5, 8), rnn=sj.LSTM(8), block=BLOCK, out=sj.Dense(5))


def test_a_hybrid_is_trained_saved_and_read_back_without_code(tmp_path):
    ids = np.random.default_rng(0).integers(0, 5, (16, 6))
    source = batching.Shuffled(ids, np.roll(ids, 1, axis=1), 8)  # the token before
    loss = train.make_loss(MODEL, losses.cross_entropy)
    step = train.make_train_step(loss, optax.adam(0.03))
    params = MODEL.init(jax.random.key(0), 0)
    checkpoints = Checkpoints(tmp_path / "run", cell=MODEL)
    result = train.fit(
        step, step.init(params, jax.random.key(1)), source, steps=60, every=10, checkpoints=checkpoints, progress=False
    )
    seen = [row["loss"] for row in result.history if "loss" in row]
    assert seen[-1] < 0.5 * seen[0]
    model = load(tmp_path / "run")
    assert model.cell == MODEL
    assert_same_bits(model.params, result.params)
    save_model(tmp_path / "model", MODEL.evaluation(), result.params)
    model = load(tmp_path / "model")
    assert model.cell == MODEL.evaluation()
    carry, ys = sj.scan(model.cell, model.params, ids[:, :5])  # a prompt at once, then one token
    _, last = sj.scan(model.cell, model.params, ids[:, 5:], carry)
    whole = sj.scan(model.cell, model.params, ids)[1]
    np.testing.assert_allclose(jnp.concatenate([ys, last], axis=1), whole, atol=1e-5)


def test_a_fresh_carry_that_is_given_need_not_be_read(x64):
    """The same numbers, and no array as long as the cache in the program."""
    params, xs = BLOCK.init(jax.random.key(0), 8, jnp.float64), jax.random.normal(jax.random.key(1), (2, 6, 8))
    start = lambda: BLOCK.initial_carry(params, (2,), key=jax.random.key(2))
    given, fresh = (jax.jit(lambda run=run: run(BLOCK, params, xs, start())) for run in (sj.scan, scan_fresh))
    for found, want in zip(jax.tree.leaves(fresh()), jax.tree.leaves(given())):
        if not jnp.issubdtype(found.dtype, jax.dtypes.prng_key):
            np.testing.assert_allclose(found, want, atol=1e-12)
    count = lambda program: program.lower().as_text().count("x22x")  # 16 slots and 6 new tokens
    assert count(given) > 0 and count(fresh) == 0


def test_weights_of_a_block_are_seen_and_edited():
    cell = sj.stack(sj.RNN(8), BLOCK.evaluation())
    params, xs = cell.init(jax.random.key(0), 3), jax.random.normal(jax.random.key(1), (2, 6, 3))
    _, ys, seen = sj.trace(cell, params, xs)
    weights = seen["1/attention/weights"]
    assert weights.shape == (2, 6, 2, 6)
    np.testing.assert_allclose(jnp.sum(weights, axis=-1), 1, atol=1e-5)
    assert not np.any(np.triu(np.moveaxis(weights, 2, 1), 1))  # none to later steps
    same = sj.trace(cell, params, xs, add={"1/attention/weights": lambda w: w})[1]
    other = sj.trace(cell, params, xs, add={"1/attention/weights": jnp.zeros_like})[1]
    np.testing.assert_allclose(same, ys, atol=1e-5)
    assert np.abs(other - ys).max() > 1e-3
