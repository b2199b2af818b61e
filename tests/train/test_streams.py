"""Truncated backpropagation through time with a carry that is handed on."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")


from seqjax import RNN, Dense, Dropout, Embed, scan, stack
from seqjax.batching import Stream
from seqjax.batching.batch import Batch
from seqjax.losses import cross_entropy, squared_error
from seqjax.train import Mean, make_train_step
from tests.train.problems import KEY, PARAMS, SGD, Memory, drawn, state_of, train

LEARNED = stack(RNN(4, learned_carry=True), Dense(2))


TEXT = np.random.default_rng(1).integers(0, 5, 41)


def learned(params, key):
    return LEARNED.initial_carry(params, (2,))


def recurrent_loss(params, batch, key, carry):
    carry, ys = scan(LEARNED, params, batch.inputs, carry)
    return Mean.of(squared_error(ys, batch.targets), batch.weights), carry


def pieces(*lengths):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(2, sum(lengths), f)).astype(np.float32) for f in (3, 2))
    ends = np.cumsum(lengths)
    return [
        Batch(x[:, a:b], y[:, a:b], np.ones((2, b - a), bool), np.full(2, b - a, np.int32))
        for a, b in zip(ends - lengths, ends)
    ]


def test_one_chunk_is_full_backpropagation_with_a_learned_carry_too():
    (batch,), params = pieces(5), drawn(LEARNED, 3)

    def full(params):
        _, ys = scan(LEARNED, params, batch.inputs)
        return jnp.mean(squared_error(ys, batch.targets))

    grads = jax.jit(jax.grad(full))(params)
    assert any(g.any() for g in jax.tree.leaves(grads["0"]["carry"]))
    state = state_of(params, SGD, KEY, carry=learned)
    state, _ = jax.jit(make_train_step(recurrent_loss, SGD, carry=learned))(state, batch, True)
    chex.assert_trees_all_close(
        state.params, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), rtol=1e-5, atol=1e-7
    )


def test_two_chunks_hand_the_carry_on_and_stop_the_gradient():
    (first, second), params = pieces(3, 4), drawn(LEARNED, 3)
    step = jax.jit(make_train_step(recurrent_loss, SGD, carry=learned))
    state, _ = step(state_of(params, SGD, KEY, carry=learned), first, True)
    middle = state.carry
    state, _ = step(state, second, False)

    def by_hand(params, batch, carry):
        after, ys = scan(LEARNED, params, batch.inputs, carry)
        return jnp.mean(squared_error(ys, batch.targets)), after

    def down(params, grads):
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

    grads, after = jax.grad(lambda p: by_hand(p, first, learned(p, None)), has_aux=True)(params)
    once = down(params, grads)
    chex.assert_trees_all_close(middle, after, rtol=1e-5, atol=1e-6)
    grads, _ = jax.grad(by_hand, has_aux=True)(once, second, after)
    assert not any(np.any(g) for g in jax.tree.leaves(grads["0"]["carry"]))  # it began before this chunk
    chex.assert_trees_all_close(state.params, down(once, grads), rtol=1e-5, atol=1e-6)


def noisy(params, key):
    """A carry of two rows with a key each, as `Dropout` has it."""
    return {"h": jnp.zeros(2) + params["w"][0], "key": jax.random.split(key, 2)}


def noisy_loss(params, batch, key, carry):
    noise = jax.vmap(jax.random.normal)(carry["key"]) + jax.random.normal(key)
    h = jnp.tanh(params["w"][0] * carry["h"] + params["w"][1] * batch.inputs.sum(1) + noise)
    return Mean.of(jnp.square(h - batch.targets[:, -1])), carry | {"h": h}


def test_a_stream_begins_anew_each_epoch_and_can_be_stopped_anywhere():
    stream = Stream(TEXT, 2, 5)
    assert [stream.starts(step) for step in range(6)] == [True, False, False, False, True, False]
    options = dict(key=KEY, carry=noisy, progress=False, every=3)
    whole = train(noisy_loss, PARAMS, SGD, stream, steps=6, **options)
    step = jax.jit(make_train_step(noisy_loss, SGD, carry=noisy))
    state, keys = state_of(PARAMS, SGD, KEY, carry=noisy), []
    for i in range(6):
        state, _ = step(state, stream.batch(i), i % 4 == 0)
        keys.append(jax.random.key_data(state.carry["key"]).tolist())
    chex.assert_trees_all_close(
        (whole.state.params, whole.state.carry["h"]), (state.params, state.carry["h"]), rtol=1e-6, atol=1e-7
    )
    assert keys[0] == keys[3] and keys[3] != keys[4] == keys[5]  # each epoch draws its own
    checkpoints = Memory()
    for stop in (2, 6):
        part = train(noisy_loss, PARAMS, SGD, stream, steps=stop, checkpoints=checkpoints, **options)
    chex.assert_trees_all_equal(part.state, whole.state)


def test_dropout_keeps_its_key_in_the_carry():
    model = stack(Embed(5, 3), Dropout(0.5), Dense(5))
    begin = lambda params, key: model.initial_carry(params, (2,), key=key)

    def language_loss(params, batch, key, carry):
        carry, logits = scan(model, params, batch.inputs, carry)
        return Mean.of(cross_entropy(logits, batch.targets), batch.weights), carry

    result = train(
        language_loss, drawn(model, 0), SGD, Stream(TEXT, 2, 5), steps=3, key=KEY, carry=begin, progress=False
    )
    assert result.state.carry[1].draws.tolist() == [15, 15]


def test_a_skipped_step_leaves_the_carry():
    (first, second), params = pieces(3, 3), drawn(LEARNED, 3)
    step = jax.jit(make_train_step(recurrent_loss, SGD, carry=learned))
    state, _ = step(state_of(params, SGD, KEY, carry=learned), first, True)
    after, _ = step(state, second._replace(inputs=second.inputs * np.nan), False)
    chex.assert_trees_all_equal((after.params, after.carry), (state.params, state.carry))
