"""Losses of models from one sequence to another, and of models that read what they say."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import (
    GRU,
    ArgumentError,
    ArgumentTypeError,
    Batch,
    Dense,
    Dropout,
    Embed,
    bidirectional,
    losses,
    scan,
    stack,
)
from seqjax.batching import Shuffled
from seqjax.seq2seq import EncoderDecoder, attend, choose_inputs, free, scheduled, teacher, two_pass, unroll
from seqjax.train import Scheduled, evaluate, fit, make_loss, make_train_step, predict

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
MODEL = EncoderDecoder(
    stack(Embed(6, 4), bidirectional(GRU(4))), stack(Embed(7, 4), attend(GRU(5), memory_features=8), Dense(7)), begin=1
)
PARAMS = MODEL.init(KEY, 0)
SOURCES = [RNG.integers(0, 6, n) for n in (4, 1, 3)]
TARGETS = [RNG.integers(0, 7, n) for n in (3, 5, 1)]
PAIRS = Shuffled(SOURCES, TARGETS, 3, pairs=True, shuffle=False)
LOSS = make_loss(MODEL, losses.cross_entropy, metrics={"accuracy": losses.accuracy})


def by_hand(params, feed=None, key=None):
    """The negative log-probability of each target token, one pair at a time and without padding."""
    found, right = [], []
    for source, target in zip(SOURCES, TARGETS):
        carry = MODEL.initial_carry(params, (1,), source=source[None])
        read = np.array([[1, *target[:-1]]])
        logits = np.asarray(unroll(MODEL, params, read, feed or teacher(), carry, key=key)[1][0])
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        found += [-logs[t, token] for t, token in enumerate(target)]
        right += [logits[t].argmax() == token for t, token in enumerate(target)]
    return np.mean(found), np.mean(right)


def test_a_loss_of_pairs_is_that_of_each_pair_alone(x64):
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), PARAMS)
    mean, metrics = jax.jit(LOSS)(params, PAIRS.batch(0), None)
    wanted, right = by_hand(params)
    np.testing.assert_allclose(mean.value(), wanted, rtol=1e-12)
    np.testing.assert_allclose(metrics["accuracy"].value(), right, rtol=1e-12)
    assert int(mean.count) == 9


@pytest.mark.slow
def test_a_loss_of_pairs_that_runs_free_is_that_of_each_pair_alone(x64):
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), PARAMS)
    freely = make_loss(MODEL, losses.cross_entropy, feed=free())(params, PAIRS.batch(0), None)[0]
    np.testing.assert_allclose(freely.value(), by_hand(params, free())[0], rtol=1e-12)
    assert abs(freely.value() - LOSS(params, PAIRS.batch(0), None)[0].value()) > 1e-3


@pytest.mark.parametrize("feed", [pytest.param(teacher(), marks=pytest.mark.slow), scheduled(0.5)])
def test_padding_of_source_and_target_changes_nothing(feed):
    loss = make_loss(MODEL, losses.cross_entropy, feed=feed)
    more = Shuffled(SOURCES, TARGETS, 5, pairs=True, shuffle=False, length=9, target_length=11).batch(0)
    odd = more._replace(
        inputs=np.where(np.arange(9) < more.lengths[:, None], more.inputs, 99),
        targets=np.where(more.weights, more.targets, 99),
    )
    value = jax.jit(jax.value_and_grad(lambda p, batch: loss(p, batch, KEY)[0].value()))
    wanted = value(PARAMS, PAIRS.batch(0))
    for batch in (more, odd):
        batch = batch._replace(targets=np.where(batch.weights, batch.targets, 0)) if batch is odd else batch
        chex.assert_trees_all_close(value(PARAMS, batch), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_target_that_does_not_count_is_read_all_the_same():
    batch = PAIRS.batch(0)
    weights = np.array(batch.weights)
    weights[1, 2] = False  # in the middle of a target
    logits = scan(
        MODEL, PARAMS, np.array([[1, *TARGETS[1][:-1]]]), MODEL.initial_carry(PARAMS, (1,), source=SOURCES[1][None])
    )
    each = losses.cross_entropy(logits[1][0], TARGETS[1])
    whole, part = (LOSS(PARAMS, batch._replace(weights=w), None)[0] for w in (batch.weights, weights))
    np.testing.assert_allclose(whole.total - part.total, each[2], rtol=1e-5)


@pytest.mark.slow
def test_fit_and_evaluate_take_pairs():
    step = make_train_step(LOSS, optax.adam(3e-2))
    source = Shuffled(SOURCES, TARGETS, 2, pairs=True)
    before = evaluate(LOSS, PARAMS, source)
    state = fit(step, step.init(PARAMS, KEY), source, steps=40, progress=False).state
    after = evaluate(LOSS, state.params, source)
    assert after["loss"] < 0.7 * before["loss"] and after["accuracy"] > before["accuracy"]
    np.testing.assert_allclose(before["loss"], by_hand(PARAMS)[0], rtol=1e-5)


def test_a_schedule_reaches_the_loss_in_the_batch():
    """Each step has the gradient of `scheduled(p)`, with one program for all p; rows may be accumulated."""
    growing = Scheduled(PAIRS, lambda step: [0.0, 0.5, 1.0][step])
    loss, traces = make_loss(MODEL, losses.cross_entropy, feed=scheduled), []

    @jax.jit
    def value(params, batch, key):
        traces.append(0)
        return jax.value_and_grad(lambda p: loss(p, batch, key)[0].value())(params)

    @jax.jit
    def constant(params, p):
        of_p = make_loss(MODEL, losses.cross_entropy, feed=scheduled(p))
        return jax.value_and_grad(lambda q: of_p(q, PAIRS.batch(0), KEY)[0].value())(params)

    found = [value(PARAMS, growing.batch(step), KEY) for step in range(3)]
    wanted = [constant(PARAMS, p) for p in (0.0, 0.5, 1.0)]
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-6)
    assert len(traces) == 1 and found[0][0] != found[1][0] != found[2][0]


@pytest.mark.slow
def test_rows_of_a_scheduled_batch_are_accumulated():
    model = stack(Embed(7, 4), Dense(7))
    rows, params = RNG.integers(0, 7, (4, 6)), model.init(KEY, 0)
    batch = Scheduled(Shuffled(rows, None, 4), lambda step: 0.0).batch(0)
    loss = make_loss(model, losses.cross_entropy, feed=scheduled)
    steps = [make_train_step(loss, optax.sgd(0.1), accumulate=n) for n in (1, 2)]
    states = [jax.jit(step)(step.init(params, KEY), batch)[0].params for step in steps]
    chex.assert_trees_all_close(*states, rtol=1e-5, atol=1e-6)


def test_a_language_model_is_fed_by_a_loss_too():
    model = stack(Embed(7, 4), Dropout(0.3), GRU(5), Dense(7))
    params = model.init(KEY, 0)
    batch = Shuffled(TARGETS, None, 3, shuffle=False).batch(0)
    mean = make_loss(model, losses.cross_entropy, feed=scheduled(0.5))(params, batch, KEY)[0]
    fed = choose_inputs(model, params, batch.inputs, scheduled(0.5), key=KEY, lengths=batch.lengths)
    carry = model.initial_carry(params, (3,), key=KEY)
    logits = scan(model, params, fed, carry, lengths=batch.lengths)[1]
    wanted = losses.weighted_mean(losses.cross_entropy(logits, batch.targets), batch.weights)
    np.testing.assert_allclose(mean.value(), wanted, rtol=1e-6)


BATCH = PAIRS.batch(0)
LABELS = Batch(BATCH.inputs, np.zeros(3, np.int32), np.ones(3, bool), BATCH.lengths)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: make_loss(MODEL, losses.cross_entropy, at="last"), ArgumentError, "leave out at="),
        (
            lambda: make_loss(MODEL, losses.cross_entropy, feed="teacher"),
            ArgumentTypeError,
            r"feed must be teacher\(\)",
        ),
        (lambda: LOSS(PARAMS, LABELS, None), ArgumentError, "pairs=True"),
        (lambda: LOSS(PARAMS, BATCH, None, ()), ArgumentError, "a carry was given"),
        (lambda: predict(MODEL, PARAMS, SOURCES), ArgumentError, r"decode\.generate"),
        (lambda: Scheduled(PAIRS, 0.5), ArgumentTypeError, "p must be a function of the step"),
        (lambda: Scheduled(PAIRS, lambda step: 2).batch(7), ArgumentError, r"p\(7\) must be in \[0, 1\], found 2"),
        (lambda: LOSS(PARAMS, Scheduled(PAIRS, lambda i: 0).batch(0), KEY), ArgumentError, "feed=scheduled"),
        (lambda: make_loss(MODEL, losses.cross_entropy, feed=two_pass)(PARAMS, BATCH, KEY), ArgumentError, "Scheduled"),
        (
            lambda: make_loss(MODEL, losses.cross_entropy, feed=scheduled(0.5))(PARAMS, BATCH, None),
            ArgumentError,
            "key=",
        ),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()
