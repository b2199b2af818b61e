"""Truncated backpropagation through time with a carry that is handed on, and sweeps of many trainings at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax import RNN, Dense, Dropout, Embed, scan, stack
from seqjax.batching import Stream
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.losses import cross_entropy, squared_error
from seqjax.train import Mean, make_train_step, sweep
from tests.train.test_fit import ADAM, PARAMS, Memory, loss, quiet, source
from tests.train.test_step import close, drawn, init_state, same

KEY, SGD = jax.random.key(3), optax.sgd(0.1)
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
    state = init_state(params, SGD, KEY, carry=learned)
    state, _ = jax.jit(make_train_step(recurrent_loss, SGD, carry=learned))(state, batch, True)
    close(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), rtol=1e-5, atol=1e-7)


def test_two_chunks_hand_the_carry_on_and_stop_the_gradient():
    (first, second), params = pieces(3, 4), drawn(LEARNED, 3)
    step = jax.jit(make_train_step(recurrent_loss, SGD, carry=learned))
    state, _ = step(init_state(params, SGD, KEY, carry=learned), first, True)
    middle = state.carry
    state, _ = step(state, second, False)

    def by_hand(params, batch, carry):
        after, ys = scan(LEARNED, params, batch.inputs, carry)
        return jnp.mean(squared_error(ys, batch.targets)), after

    def down(params, grads):
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)

    grads, after = jax.grad(lambda p: by_hand(p, first, learned(p, None)), has_aux=True)(params)
    once = down(params, grads)
    close(middle, after, rtol=1e-5, atol=1e-6)
    grads, _ = jax.grad(by_hand, has_aux=True)(once, second, after)
    assert not any(np.any(g) for g in jax.tree.leaves(grads["0"]["carry"]))  # it began before this chunk
    close(state.params, down(once, grads), rtol=1e-5, atol=1e-6)


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
    whole = quiet(noisy_loss, PARAMS, SGD, stream, steps=6, **options)
    step = jax.jit(make_train_step(noisy_loss, SGD, carry=noisy))
    state, keys = init_state(PARAMS, SGD, KEY, carry=noisy), []
    for i in range(6):
        state, _ = step(state, stream.batch(i), i % 4 == 0)
        keys.append(jax.random.key_data(state.carry["key"]).tolist())
    close((whole.state.params, whole.state.carry["h"]), (state.params, state.carry["h"]), rtol=1e-6, atol=1e-7)
    assert keys[0] == keys[3] and keys[3] != keys[4] == keys[5]  # each epoch draws its own
    checkpoints = Memory()
    for stop in (2, 6):
        part = quiet(noisy_loss, PARAMS, SGD, stream, steps=stop, checkpoints=checkpoints, **options)
    same(part.state, whole.state)


def test_dropout_keeps_its_key_in_the_carry():
    model = stack(Embed(5, 3), Dropout(0.5), Dense(5))
    begin = lambda params, key: model.initial_carry(params, (2,), key=key)

    def language_loss(params, batch, key, carry):
        carry, logits = scan(model, params, batch.inputs, carry)
        return Mean.of(cross_entropy(logits, batch.targets), batch.weights), carry

    result = quiet(
        language_loss, drawn(model, 0), SGD, Stream(TEXT, 2, 5), steps=3, key=KEY, carry=begin, progress=False
    )
    assert result.state.carry[1].draws.tolist() == [15, 15]


def test_a_skipped_step_leaves_the_carry():
    (first, second), params = pieces(3, 3), drawn(LEARNED, 3)
    step = jax.jit(make_train_step(recurrent_loss, SGD, carry=learned))
    state, _ = step(init_state(params, SGD, KEY, carry=learned), first, True)
    after, _ = step(state, second._replace(inputs=second.inputs * np.nan), False)
    same((after.params, after.carry), (state.params, state.carry))


# Sweeps ---------------------------------------------------------------------------------------------------------------


def adam(rate, **options):
    return make_train_step(loss, optax.adam(rate), **options)


def begun(key):
    return {"w": jax.random.normal(key, (2,))}


def test_each_member_of_a_sweep_is_its_single_run():
    seeds, rates = (0, 7), (0.1, 1e30)
    options = dict(steps=7, every=3, progress=False)
    found = sweep(lambda rate: adam(rate, clip=1.0), begun, source(), seeds=seeds, learning_rates=rates, **options)
    assert [row["step"] for row in found.history] == [3, 6, 7]
    for i, seed in enumerate(seeds):
        for j, rate in enumerate(rates):
            key = jax.random.key(seed)
            one = quiet(loss, begun(key), optax.adam(rate), source(), key=key, clip=1.0, **options)
            mine = jax.tree.map(lambda leaf: leaf[i, j], found.state)
            # Vectorised over members XLA may fuse otherwise: a few roundings of float32 in 7 steps.
            close((mine.params, mine.opt_state), (one.state.params, one.state.opt_state), rtol=3e-6, atol=1e-7)
            same((mine.key, mine.step, mine.skipped), (one.state.key, one.state.step, one.state.skipped))
            for row, single in zip(found.history, one.history):
                np.testing.assert_allclose(row["loss"][i, j], single["loss"], rtol=3e-6)
    assert found.history[-1]["loss"].shape == (2, 2)


def test_a_member_that_diverges_disturbs_no_other():
    rates = (0.1, 1e38)  # the second makes inf of the parameters at once
    far = lambda key: {"w": 100 + begun(key)["w"]}
    sgd = lambda rate: make_train_step(loss, optax.sgd(rate))
    both = sweep(sgd, far, source(), seeds=(0,), learning_rates=rates, steps=4, every=2, progress=False)
    alone = sweep(sgd, far, source(), seeds=(0,), learning_rates=rates[:1], steps=4, every=2, progress=False)
    assert int(both.state.skipped.in_all[0, 1]) == 4 and not both.state.skipped.in_all[0, 0]
    close(both.state.params["w"][:, 0], alone.state.params["w"][:, 0], rtol=1e-6)
    assert np.isfinite(both.state.params["w"]).all() and np.isnan(both.history[0]["loss"][0, 1])


def test_large_seeds_of_a_sweep_are_those_of_keys():
    seeds = (1, 2**31, 2**32 - 1)
    given = (seed for seed in seeds)  # read once
    found = sweep(adam, begun, source(), seeds=given, learning_rates=[0.1], steps=1, progress=False)
    for i, seed in enumerate(seeds):
        key = jax.random.key(seed)
        same(found.state.key[i, 0], init_state(begun(key), optax.adam(0.1), key).key)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"seeds": ()}, ArgumentError, "one each"),
        ({"seeds": (0.5,)}, ArgumentTypeError, "seeds"),
        ({"seeds": 3}, ArgumentTypeError, r"seeds must be a sequence .* found 3. For a single one write \[3\]"),
        ({"seeds": "012"}, ArgumentTypeError, "seeds must be a sequence"),
        ({"seeds": (0, 2**32)}, ArgumentError, r"seeds must be below 2\*\*32, .* found 4294967296"),
        ({"learning_rates": 0.1}, ArgumentTypeError, "learning_rates must be a sequence .* found 0.1"),
        ({"learning_rates": (float("nan"),)}, ArgumentError, "learning_rates"),
        ({"learning_rates": ("0.1",)}, ArgumentError, "learning_rates"),
        ({"init": PARAMS}, ArgumentTypeError, "init must be a function"),
        ({"make_step": ADAM}, ArgumentTypeError, "make_step must be a function"),
        ({"make_step": adam(0.1)}, ArgumentTypeError, "make_step must be a function, .* Write lambda rate"),
        ({"make_step": optax.adam}, ArgumentTypeError, "make_step must return what make_train_step does"),
        ({"make_step": lambda r: adam(r, carry=noisy)}, ArgumentError, "one by one"),
        ({"steps": 0}, ArgumentError, "steps"),
    ],
)
def test_bad_sweeps(options, error, words):
    given = {"make_step": adam, "init": begun, "source": source(), "steps": 1}
    with pytest.raises(error, match=words):
        sweep(**(given | {"seeds": (0,), "learning_rates": (0.1,)} | options))
