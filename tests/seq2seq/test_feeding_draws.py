"""Drawn tokens, the cell that reads its own, schedules, and wrong calls."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, LSTM, ArgumentError, ArgumentTypeError, Dense, Embed, NotCausalError, bidirectional, scan, stack
from seqjax.seq2seq import (
    EncoderDecoder,
    Feedback,
    attend,
    choose_inputs,
    copying,
    exponential,
    free,
    inverse_sigmoid,
    linear,
    scheduled,
    teacher,
    two_pass,
    unroll,
)
from tests.seq2seq.models import ATTENDING, KEY, LANGUAGE, RNG, V, params_of

INPUTS = RNG.integers(0, V, (3, 8))


@pytest.mark.parametrize("feed", [free("sample"), two_pass(1.0, "sample"), scheduled(1.0, "sample")])
def test_tokens_are_drawn_from_the_softmax(feed):
    """A model that always says the same distribution: counts within 4 standard deviations, neighbours and rows apart."""
    chances = np.array([0.05, 0.1, 0.15, 0.3, 0.4])
    model = stack(Embed(5, 2), Dense(5))
    params = {"0": {"table": jnp.zeros((5, 2))}, "1": {"kernel": jnp.zeros((2, 5)), "bias": jnp.log(chances)}}
    fed = np.asarray(choose_inputs(model, params, np.zeros((64, 301), int), feed, key=KEY))[:, 1:]
    count = np.bincount(fed.ravel(), minlength=5)
    assert (abs(count - fed.size * chances) < 4 * np.sqrt(fed.size * chances * (1 - chances))).all()
    for a, b in ((fed[:, 1:], fed[:, :-1]), (fed[1:], fed[:-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / fed.size**0.5
    other = np.asarray(choose_inputs(model, params, np.zeros((64, 301), int), feed, key=jax.random.key(9)))[:, 1:]
    assert 0.1 < (other == fed).mean() < 0.5


def test_coins_and_drawn_tokens_share_no_numbers():
    """Of two equal tokens each comes up in half of the steps, whatever the coin of the step said."""
    model = stack(Embed(3, 2), Dense(3))
    params = {
        "0": {"table": jnp.zeros((3, 2))},
        "1": {"kernel": jnp.zeros((2, 3)), "bias": jnp.array([-1e9, 0.0, 0.0])},
    }
    fed = np.asarray(choose_inputs(model, params, np.zeros((64, 301), int), scheduled(0.5, "sample"), key=KEY))[:, 1:]
    own = fed > 0
    assert abs(own.mean() - 0.5) < 4 * 0.5 / own.size**0.5
    assert abs((fed[own] == 1).mean() - 0.5) < 4 * 0.5 / own.sum() ** 0.5


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_cases_of_tensorflow_addons(p):
    """Their scheduled sampler: lengths 3, 4, 3, 1 and 0 of 8 steps, depth 7, a cell of 10; given where not sampled."""
    model, lengths = stack(Embed(10, 7), LSTM(10), Dense(10)), np.array([3, 4, 3, 1, 0])
    params = params_of(model)
    inputs = np.random.default_rng(1).integers(0, 10, (5, 8))
    own = 0
    for seed in range(8):
        options = {"key": jax.random.key(seed), "lengths": lengths}
        fed = np.asarray(choose_inputs(model, params, inputs, scheduled(p), **options))
        logits = np.asarray(unroll(model, params, inputs, scheduled(p), **options)[1])
        for b, length in enumerate(lengths):
            assert length == 0 or fed[b, 0] == inputs[b, 0]
            for t in range(1, length):
                said = logits[b, t - 1].argmax()
                allowed = {0.0: [inputs[b, t]], 0.5: [inputs[b, t], said], 1.0: [said]}[p]
                assert fed[b, t] in allowed
                own += fed[b, t] != inputs[b, t]
            assert not logits[b, length:].any()
    assert (own > 0) == (p > 0)


@pytest.mark.parametrize("sample", ["argmax", "sample"])
def test_feedback_is_a_cell_like_others(sample):
    """In chunks, row by row and step by step it gives what it gives at once; padding holds its carry."""
    cell, params = Feedback(LANGUAGE, sample), params_of(LANGUAGE)
    xs = {"token": jnp.asarray(INPUTS), "own": jnp.asarray(RNG.random((3, 8)) < 0.6)}
    start = cell.initial_carry(params, (3,), key=KEY)
    whole, ys = scan(cell, params, xs, start)
    carry, first = scan(cell, params, jax.tree.map(lambda a: a[:, :5], xs), start)
    carry, second = scan(cell, params, jax.tree.map(lambda a: a[:, 5:], xs), carry)
    np.testing.assert_array_equal(jnp.concatenate([first, second], 1), ys)
    chex.assert_trees_all_close((carry.state, carry.token), (whole.state, whole.token), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(scan(cell, params, xs, start, lengths=[8, 3, 0])[1][1, :3], ys[1, :3])
    row = jax.tree.map(lambda a: a[1], (start, xs))
    np.testing.assert_array_equal(scan(cell, params, row[1], row[0])[1], ys[1])
    each = jax.vmap(lambda carry, xs: scan(cell, params, xs, carry)[1])(start, xs)
    np.testing.assert_array_equal(each, ys)


def test_rows_under_vmap_and_more_batch_axes():
    params = params_of(LANGUAGE)
    one = lambda row, key: unroll(LANGUAGE, params, row, scheduled(0.5), key=key)[1]
    keys = jax.random.split(KEY, 3)
    wanted = jnp.stack([one(row, key) for row, key in zip(INPUTS, keys)])
    chex.assert_trees_all_close(jax.vmap(one)(jnp.asarray(INPUTS), keys), wanted, rtol=1e-5, atol=1e-6)
    many = unroll(LANGUAGE, params, np.stack([INPUTS, INPUTS]), scheduled(0.5), key=KEY)[1]
    assert many.shape == (2, 3, 8, V) and (many[0] != many[1]).any()


def test_the_decoders_of_this_room_run_free():
    decoder = copying(stack(Embed(9, 4), attend(GRU(5), memory_features=6)), 7, extra=2)
    model = EncoderDecoder(stack(Embed(9, 4), GRU(6)), decoder, begin=1)
    params = model.init(KEY, 0)
    start = model.initial_carry(params, (3,), source=(jnp.asarray(INPUTS), jnp.array([8, 3, 5])))
    inputs = np.ones((3, 6), int)
    fed = choose_inputs(model, params, inputs, free(), start)
    logits = unroll(model, params, inputs, free(), start)[1]
    np.testing.assert_array_equal(fed[:, 1:], logits.argmax(-1)[:, :-1])


def test_schedules_are_those_of_the_paper():
    steps = np.array([0, 10, 250, 5000])
    k = 100.0
    np.testing.assert_allclose([1 - linear(1000, 0.8)(i) for i in steps], np.maximum(0.2, 1 - steps / 1000), rtol=1e-12)
    np.testing.assert_allclose([1 - exponential(0.99)(i) for i in steps], 0.99**steps, rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose([1 - inverse_sigmoid(k)(i) for i in steps], k / (k + np.exp(steps / k)), atol=1e-14)
    assert inverse_sigmoid(1.0)(10**6) == 1.0


PARAMS = LANGUAGE.init(KEY, 0)
SHORT = stack(Embed(5, 4), GRU(4), Dense(6))
VECTORS = stack(GRU(4), Dense(6))
BOTH = stack(Embed(5, 4), bidirectional(GRU(4)), Dense(5))


def run(feed, cell=LANGUAGE, inputs=INPUTS, params=PARAMS, **options):
    return unroll(cell, params, inputs, feed, **options)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: scheduled(1.5), ArgumentError, r"scheduled: p must be in \[0, 1\], found 1.5"),
        (lambda: scheduled(50), ArgumentError, "percentage"),
        (lambda: two_pass(np.array([0.5, -0.1])), ArgumentError, "found -0.1"),
        (lambda: scheduled("0.5"), ArgumentTypeError, "p must be a number"),
        (lambda: scheduled(float("nan")), ArgumentError, "found nan"),
        (lambda: scheduled(linear(10)), ArgumentTypeError, "Call it with the step"),
        (lambda: scheduled(0.5, sample="max"), ArgumentError, '"argmax" or "sample"'),
        (lambda: free(0.5), ArgumentError, 'sample must be "argmax" or "sample", found 0.5'),
        (lambda: run(scheduled), ArgumentTypeError, r"Call it: scheduled\("),
        (lambda: run(0.5), ArgumentTypeError, "feed must be teacher"),
        (lambda: run(scheduled(0.5)), ArgumentError, r"pass key="),
        (lambda: run(scheduled(0.5), key=3), ArgumentTypeError, "key must be one key"),
        (lambda: run(free(), reverse=True), ArgumentError, "reverse has no meaning"),
        (lambda: run(free(), length=[8, 3, 1]), ArgumentError, "'length' is no option of scan"),
        (lambda: run(free(), lengths=[9, 3, 1]), ArgumentError, r"lengths must be in \[0, 8\]"),
        (lambda: run(free(), inputs=INPUTS + 3), ArgumentError, "token id"),
        (lambda: run(free(), inputs=INPUTS * 0.5), ArgumentTypeError, "token ids of an integer dtype"),
        (lambda: run(scheduled(np.zeros(3)), key=KEY), ArgumentError, r"p has shape \(3,\)"),
        (lambda: run(free(), VECTORS), ArgumentTypeError, "takes vectors"),
        (lambda: run(free(), BOTH), NotCausalError, "both directions"),
        (lambda: run(free(), ATTENDING), ArgumentError, "reads a memory: pass carry="),
        (lambda: run(free(), SHORT, INPUTS % 5, SHORT.init(KEY, 0)), ArgumentError, "logits of 6 tokens, not all of which"),
        (lambda: run(teacher(), GRU), ArgumentTypeError, "not the class"),
        (lambda: linear(0), ArgumentError, "steps must be above 0"),
        (lambda: linear(10, most=2), ArgumentError, "most must be in"),
        (lambda: exponential(100), ArgumentError, "1 - 1 / steps"),
        (lambda: inverse_sigmoid(-1), ArgumentError, "above 0"),
    ],
)  # fmt: skip
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()
