"""What a model reads: teacher forcing, free running and what lies between, for every kind of model."""

import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import GRU, Dense, Dropout, Embed, scan, stack
from seqjax.interop import as_cell
from seqjax.nn import EncoderDecoder
from seqjax.seq2seq import Memory, choose_inputs, free, scheduled, teacher, two_pass, unroll
from tests.seq2seq.models import KEY, LANGUAGE, MODELS, RNG, TRANSFORMER, V, by_hand, params_of, start_of

INPUTS = RNG.integers(0, V, (3, 8))
LENGTHS = np.array([8, 0, 5])
WEIGHTS = RNG.normal(size=(3, 8, V)).astype(np.float32)


def some(*quick):
    """All models, but for these slow."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in MODELS]


def gradients(cell, params, feed, inputs=INPUTS, **options):
    """The carry, logits and gradient of a weighted sum of them."""

    @jax.jit
    def loss(params, feed, inputs):
        carry, logits = unroll(cell, params, inputs, feed, start_of(cell, params, len(inputs)), **options)
        return jnp.sum(logits * WEIGHTS), (carry, logits)

    return jax.value_and_grad(loss, has_aux=True)(params, feed, inputs)


@pytest.mark.parametrize("name", some("language"))
def test_at_p_0_it_is_teacher_forcing_bit_for_bit(name):
    """Outside jit. Two larger programs are compiled alike by the compiler's usual settings, not by those of most tests."""
    cell, params = MODELS[name], params_of(MODELS[name], 1.0)
    start = start_of(cell, params, 3)
    plain = scan(cell, params, INPUTS, start, lengths=LENGTHS)
    chex.assert_trees_all_equal(unroll(cell, params, INPUTS, teacher(), start, lengths=LENGTHS), plain)
    chex.assert_trees_all_equal(unroll(cell, params, INPUTS, scheduled(0.0), start, lengths=LENGTHS, key=KEY), plain)
    wanted = gradients(cell, params, teacher(), lengths=LENGTHS, key=KEY)
    found = gradients(cell, params, scheduled(0.0), lengths=LENGTHS, key=KEY)
    if name in ("language", "attending") or os.environ.get("SEQJAX_TEST_OPTIMISED"):
        chex.assert_trees_all_equal(found, wanted)
    else:
        chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", some("language", "hybrid"))
def test_at_p_1_it_runs_free_as_a_loop_of_python_does(name, x64):
    cell, params = MODELS[name], jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params_of(MODELS[name]))
    start = start_of(cell, params, 3)
    own = np.arange(8) > np.zeros((3, 1))
    logits, fed = by_hand(cell, params, INPUTS, own, start)
    assert len(np.unique(fed[:, 1:])) > 1 and (fed != INPUTS).any()  # it says this and that
    found = unroll(cell, params, INPUTS, scheduled(1.0), start, key=KEY)
    np.testing.assert_allclose(found[1], logits, rtol=1e-9, atol=1e-10)
    chex.assert_trees_all_equal(unroll(cell, params, INPUTS, free(), start), found)
    np.testing.assert_array_equal(choose_inputs(cell, params, INPUTS, free(), start), fed)


def test_between_each_token_is_the_given_one_or_the_last_that_was_said(x64):
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params_of(LANGUAGE))
    real = RNG.random((3, 8)) < 0.8  # with gaps
    fed = np.asarray(choose_inputs(LANGUAGE, params, INPUTS, scheduled(0.5), key=KEY, mask=real))
    marked = (INPUTS + 1) % V  # what tells the two apart: where it is own, another given token changes nothing
    other = np.asarray(choose_inputs(LANGUAGE, params, marked, scheduled(0.5), key=KEY, mask=real))
    for b in range(3):
        seen = []
        for t in np.flatnonzero(real[b]):
            said = None
            if seen:
                said = int(scan(LANGUAGE, params, np.array(seen))[1][-1].argmax())
            assert fed[b, t] in (INPUTS[b, t], said)
            seen.append(int(fed[b, t]))
    own = real & (other != marked)
    assert 3 < own.sum() < real.sum() - 3
    logits = unroll(LANGUAGE, params, INPUTS, scheduled(0.5), key=KEY, mask=real)[1]
    wanted = scan(LANGUAGE, params, fed, mask=real)[1]
    chex.assert_trees_all_equal(logits, wanted)


def test_coins_are_thrown_for_each_token():
    """The model always says 6 and the data never: the share of 6 is that of the coins, also within each sequence."""
    says_6 = stack(Embed(V, 2), Dense(V))
    params = {"0": {"table": jnp.zeros((V, 2))}, "1": {"kernel": jnp.zeros((2, V)), "bias": jnp.eye(V)[6]}}
    given = np.zeros((64, 401), np.int32)
    for p in (0.25, 0.5):
        own = np.asarray(choose_inputs(says_6, params, given, scheduled(p), key=KEY)) == 6
        assert not own[:, 0].any()
        own = own[:, 1:]
        spread = (p * (1 - p)) ** 0.5
        assert abs(own.mean() - p) < 4 * spread / own.size**0.5
        assert np.abs(own.mean(1) - p).max() < 4.5 * spread / 20 and np.abs(own.mean(0) - p).max() < 4.5 * spread / 8
        neighbours = np.corrcoef(own[:, 1:].ravel(), own[:, :-1].ravel())[0, 1]
        rows = np.corrcoef(own[1:].ravel(), own[:-1].ravel())[0, 1]
        assert max(abs(neighbours), abs(rows)) < 4.5 / own.size**0.5
    each = np.linspace(0, 1, 401)
    own = np.asarray(choose_inputs(says_6, params, given, scheduled(each), key=KEY)) == 6
    assert own[:, 1:200].mean() < 0.3 < 0.7 < own[:, 200:].mean() and own[:, 400].all()
    rows = np.asarray(choose_inputs(says_6, params, given, two_pass(np.arange(64)[:, None] % 2), key=KEY)) == 6
    np.testing.assert_array_equal(rows[:, 1:], np.broadcast_to(np.arange(64)[:, None] % 2 == 1, (64, 400)))


def test_a_schedule_compiles_once():
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def logits(params, feed, key):
        return unroll(LANGUAGE, params, INPUTS, feed, key=key)[1]

    params = params_of(LANGUAGE)
    seen = [np.asarray(logits(params, scheduled(jnp.float32(p)), KEY)) for p in (0.0, 0.5, 1.0)]
    assert (seen[0] != seen[1]).any() and (seen[1] != seen[2]).any()
    programs = []

    class Counted(Dense):
        def apply(self, params, x):
            programs.append(x.shape)
            return super().apply(params, x)

    cell = stack(Embed(V, 5), GRU(6), Counted(V))
    for p in (0.0, 0.3, 0.7, 1.0):
        unroll(cell, params, INPUTS, scheduled(p), key=KEY)
        if p == 0.0:
            first = len(programs)
    assert len(programs) == first


def test_no_gradient_flows_through_own_tokens():
    """The gradient is that of a scan over the tokens as constants, and nothing reaches a p that is differentiated."""
    params = params_of(LANGUAGE)
    fed = np.asarray(choose_inputs(LANGUAGE, params, INPUTS, scheduled(0.6), key=KEY))
    assert (fed != INPUTS).any()
    wanted = jax.grad(lambda p: jnp.sum(scan(LANGUAGE, p, fed)[1] * WEIGHTS))(params)
    found = gradients(LANGUAGE, params, scheduled(0.6), key=KEY)[1]
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-5)
    slope = jax.jit(jax.grad(lambda p: jnp.sum(unroll(LANGUAGE, params, INPUTS, scheduled(p), key=KEY)[1])))(0.6)
    assert slope == 0


@pytest.mark.parametrize("feed", [scheduled(0.5), scheduled(0.5, "sample"), two_pass(0.5, "sample"), free("sample")])
def test_padding_changes_nothing(feed):
    params, longest = params_of(LANGUAGE), 12
    wide = np.full((5, longest), 99)  # more steps, more examples, and ids that are none
    for row, given, length in zip(wide, INPUTS, LENGTHS):
        row[:length] = given[:length]
    lengths = np.array([*LENGTHS, 0, 0])
    carry, logits = unroll(LANGUAGE, params, INPUTS, feed, key=KEY, lengths=LENGTHS)
    padded, more = unroll(LANGUAGE, params, wide, feed, key=KEY, lengths=lengths)
    chex.assert_trees_all_close(more[:3, :8], logits, rtol=1e-5, atol=1e-5)
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[:3], padded), carry, rtol=1e-5, atol=1e-5)
    assert not more[:, 8:].any()
    left = np.concatenate([np.full((1, 3), 99), INPUTS[:1]], axis=1)
    shifted = unroll(LANGUAGE, params, left, feed, key=KEY, mask=np.arange(11)[None] >= 3)[1]
    chex.assert_trees_all_close(shifted[:, 3:], logits[:1], rtol=1e-5, atol=1e-5)


def test_two_passes_of_a_transformer():
    params = params_of(TRANSFORMER)
    first = np.asarray(scan(TRANSFORMER, params, INPUTS)[1]).argmax(-1)
    mixed = np.concatenate([INPUTS[:, :1], first[:, :-1]], axis=1)
    found = unroll(TRANSFORMER, params, INPUTS, two_pass(1.0), key=KEY)
    chex.assert_trees_all_equal(found, scan(TRANSFORMER, params, mixed))
    half = np.asarray(choose_inputs(TRANSFORMER, params, INPUTS, two_pass(0.5), key=KEY))
    assert ((half == INPUTS) | (half == mixed)).all() and (half != INPUTS).any() and (half != mixed).any()
    chex.assert_trees_all_equal(
        unroll(TRANSFORMER, params, INPUTS, two_pass(0.0), key=KEY), scan(TRANSFORMER, params, INPUTS)
    )
    real = np.array([[True, True, False, False, True, True, True, False]] * 3)
    gaps = np.asarray(choose_inputs(TRANSFORMER, params, INPUTS, two_pass(1.0), key=KEY, mask=real))
    said = np.asarray(scan(TRANSFORMER, params, INPUTS, mask=real)[1]).argmax(-1)
    np.testing.assert_array_equal(gaps[:, [1, 4, 5, 6]], said[:, [0, 1, 4, 5]])


def test_two_passes_of_a_decoder_with_a_memory():
    """Both passes read the memory in the carry."""
    cell = as_cell(EncoderDecoder, V, 8, 2, 1, capacity=16)
    params = params_of(cell)
    rows = len(INPUTS)
    memory = Memory(jax.random.normal(jax.random.key(3), (rows, 4, 8)))
    carry = cell.initial_carry(params, (rows,), memory=memory)
    first = np.asarray(scan(cell, params, INPUTS, carry)[1]).argmax(-1)
    mixed = np.concatenate([INPUTS[:, :1], first[:, :-1]], axis=1)
    found = unroll(cell, params, INPUTS, two_pass(1.0), carry, key=KEY)
    chex.assert_trees_all_equal(found, scan(cell, params, mixed, carry))


def test_free_running_goes_on_from_a_carry():
    params = params_of(LANGUAGE)
    whole, logits = unroll(LANGUAGE, params, INPUTS, free())
    carry, first = unroll(LANGUAGE, params, INPUTS[:, :5], free())
    rest = np.array(INPUTS[:, 5:])
    rest[:, 0] = first[:, -1].argmax(-1)
    carry, second = unroll(LANGUAGE, params, rest, free(), carry)
    chex.assert_trees_all_close((carry, jnp.concatenate([first, second], 1)), (whole, logits), rtol=1e-5, atol=1e-6)


def test_resets_begin_with_the_given_token():
    params = params_of(LANGUAGE)
    resets = np.arange(8)[None] == np.array([[3], [5], [0]])
    fed = np.asarray(choose_inputs(LANGUAGE, params, INPUTS, free(), resets=resets))
    for row, given, start in zip(fed, INPUTS, (3, 5, 0)):
        assert row[start] == given[start]
        alone = choose_inputs(LANGUAGE, params, given[None, start:], free())
        np.testing.assert_array_equal(row[start:], alone[0])


def test_dropout_draws_the_same_masks_in_both_runs():
    """With p = 1 a model with dropout says what it says with the same masks: the logits name the tokens."""
    cell = stack(Embed(V, 5), Dropout(0.5), GRU(6), Dense(V))
    params = cell.init(jax.random.key(1), 0)
    fed = choose_inputs(cell, params, INPUTS, free(), key=KEY)
    logits = unroll(cell, params, INPUTS, free(), key=KEY)[1]
    np.testing.assert_array_equal(fed[:, 1:], logits.argmax(-1)[:, :-1])
    start = cell.initial_carry(params, (3,), key=KEY)
    chex.assert_trees_all_equal(
        unroll(cell, params, INPUTS, scheduled(0.0), key=KEY), scan(cell, params, INPUTS, start)
    )
