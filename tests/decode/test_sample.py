"""Sampling draws from the distribution that it says, and from nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

import seqjax as sj
from seqjax import decode
from tests.decode.models import V, prompts, start

LOGITS = arrays.arrays(np.float32, (3, 6), elements=st.floats(-8, 8, width=32))


def head(logits, **options):
    """The probabilities that are left, by id."""
    left, ids = decode.sample(**options).head(jnp.asarray(logits))
    left = np.asarray(jax.nn.softmax(left))
    if ids is None:
        return left
    whole = np.zeros_like(logits)
    np.put_along_axis(whole, np.asarray(ids), left, axis=-1)
    return whole


@given(LOGITS, st.integers(1, 8))
def test_top_k_keeps_the_k_most_likely(logits, k):
    left = head(logits, top_k=k)
    assert np.all((left > 0).sum(axis=-1) == min(k, 6))
    for row, kept in zip(logits, left > 0):
        assert kept.all() or row[kept].min() >= row[~kept].max()


@given(LOGITS, st.floats(0.05, 1.0))
def test_top_p_keeps_the_fewest_that_have_the_mass(logits, p):
    whole = np.exp(logits.astype(np.float64))
    whole /= whole.sum(axis=-1, keepdims=True)
    for row, kept in zip(whole, head(logits, top_p=p) > 0):
        assert kept.any() and (kept.all() or row[kept].min() >= row[~kept].max() - 1e-7)
        assert row[kept].sum() >= p - 1e-5
        assert row[row > row[kept].min() * (1 + 1e-6)].sum() < p + 1e-5  # equal ones stay together


def test_top_p_of_a_large_vocabulary():
    """Few tokens have the mass in one row, and many in the other, which must not change the first."""
    logits = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    logits[0] *= 5
    both = head(logits, top_p=0.9)
    for row in range(2):
        whole = np.exp(logits[row].astype(np.float64))
        order = np.argsort(-whole)
        count = np.searchsorted(np.cumsum(whole[order]) / whole.sum(), 0.9) + 1
        assert sorted(order[:count]) == np.flatnonzero(both[row]).tolist() and (count > 128) == row
        np.testing.assert_array_equal(head(logits[row : row + 1], top_p=0.9)[0], both[row])


@given(LOGITS, st.floats(0.01, 1.0))
def test_min_p_keeps_what_is_near_the_most_likely(logits, p):
    whole = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    kept = head(logits, min_p=p) > 0
    assert np.all(kept[whole > p * (1 + 1e-5)]) and not np.any(kept[whole < p * (1 - 1e-5)])


def test_the_parts_follow_each_other():
    """top_p sees the mass of those that top_k has left; by hand: 0.4, 0.3, 0.2, 0.1."""
    logits = np.log(np.array([[0.1, 0.4, 0.2, 0.3]], np.float32))
    np.testing.assert_allclose(head(logits, top_k=2, top_p=0.6), [[0, 4 / 7, 0, 3 / 7]], rtol=1e-5)
    np.testing.assert_allclose(head(logits, top_k=2, top_p=0.5), [[0, 1, 0, 0]], rtol=1e-5)
    np.testing.assert_allclose(head(logits, top_p=0.9, min_p=0.6), [[0, 4 / 7, 0, 3 / 7]], rtol=1e-5)
    half = decode.sample(0.5, top_k=2).head(jnp.asarray(logits))[0]  # squares
    np.testing.assert_allclose(jax.nn.softmax(half), [[16 / 25, 9 / 25]], rtol=1e-5)


class Fixed(sj.Cell):
    """Logits that depend on the last token alone: a Markov chain."""

    out_features = 4
    feature_axes = 0

    def init(self, key, in_features, dtype=jnp.float32):
        return {"logits": jax.random.normal(key, (4, 4), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return ()

    def step(self, params, carry, x):
        return carry, params["logits"][x]


def test_frequencies_are_the_probabilities():
    """Chi-square of 4,000 first tokens, and of the second after the first."""
    params = Fixed().init(jax.random.key(5), 0)
    options = {"steps": 2, "strategy": decode.sample(1.5), "key": jax.random.key(6)}
    tokens = np.asarray(decode.generate(Fixed(), params, np.full(4000, 2), **options).tokens)
    wanted = np.asarray(jax.nn.softmax(params["logits"] / 1.5), np.float64)
    wanted /= wanted.sum(axis=1, keepdims=True)
    pairs = np.zeros((4, 4))
    np.add.at(pairs, (tokens[:, 0], tokens[:, 1]), 1)
    first = pairs.sum(axis=1)
    assert stats.chisquare(first, 4000 * wanted[2]).pvalue > 0.01
    for token in range(4):
        assert stats.chisquare(pairs[token], first[token] * wanted[token]).pvalue > 0.01
    again = decode.generate(Fixed(), params, np.full(4000, 2), **options)
    assert np.array_equal(again.tokens, tokens)
    other = decode.generate(Fixed(), params, np.full(4000, 2), **options | {"key": jax.random.key(7)})
    assert not np.array_equal(other.tokens, tokens)


def test_what_a_row_draws_does_not_depend_on_others():
    cell, params, _ = start("rnn", 3)
    prompt, keys = prompts(3, 4), jax.random.split(jax.random.key(1), 3)
    options = {"steps": 5, "strategy": decode.sample(2.0)}
    all_rows = decode.generate(cell, params, prompt, key=keys, **options)
    alone = decode.generate(cell, params, prompt[1:2], key=keys[1:2], **options)
    assert alone.tokens[0].tolist() == all_rows.tokens[1].tolist()
    one_key = decode.generate(cell, params, prompt, key=jax.random.key(1), **options)
    assert one_key.tokens.tolist() == all_rows.tokens.tolist()


def test_near_zero_it_is_greedy():
    cell, params, _ = start("rnn", 3)
    wanted = decode.generate(cell, params, prompts(3, 4), steps=5)
    for strategy in (decode.sample(1e-6), decode.sample(top_k=1), decode.sample(top_p=1e-6), decode.sample(min_p=1.0)):
        found = decode.generate(cell, params, prompts(3, 4), steps=5, strategy=strategy, key=jax.random.key(0))
        assert found.tokens.tolist() == wanted.tokens.tolist()
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-6)  # of the model, without the temperature


def test_a_cell_that_draws():
    """Dropout in the cell: switched off, or with its keys in a carry."""
    inner = sj.stack(sj.Embed(V, 6), sj.Dropout(0.5), sj.GRU(8), sj.Dense(V))
    params = inner.init(jax.random.key(0), 0)
    plain, prompt = sj.stack(sj.Embed(V, 6), sj.Dropout(0.0), sj.GRU(8), sj.Dense(V)), prompts(2, 3)
    wanted = decode.generate(plain, params, prompt, steps=4)
    assert decode.generate(inner.evaluation(), params, prompt, steps=4).tokens.tolist() == wanted.tokens.tolist()
    carry = inner.initial_carry(params, (2,), key=jax.random.key(1))
    dropped = decode.generate(inner, params, prompt, steps=4, carry=carry)
    assert not np.array_equal(dropped.log_probs, wanted.log_probs)
