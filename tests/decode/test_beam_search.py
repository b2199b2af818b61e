"""Beam search on chains whose answers are known, from AllenNLP's tests, and its arithmetic alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.decode import beam, constrained, diverse, generate, greedy
from seqjax.decode.candidates import Candidates, best, go_on
from tests.decode.markov import SHORT, TRANSITIONS, markov
from tests.decode.models import prompts, start

STOP = 5


def search(table, width, steps=10, batch=2, stop=STOP, strategy=None, **options):
    """From the token 0, by sums of log-probabilities."""
    cell, params = markov(table)
    strategy = beam(width, length_penalty=0.0) if strategy is None else strategy
    return generate(cell, params, jnp.zeros(batch, int), steps=steps, stop=stop, strategy=strategy, **options)


def check(result, tokens, probabilities):
    """All rows: tokens up to and with the stop token, and scores."""
    for row in range(len(result.tokens)):
        found = [text[:n].tolist() for text, n in zip(result.tokens[row], result.lengths[row])]
        assert found == tokens
        np.testing.assert_allclose(result.scores[row], np.log(probabilities), rtol=1e-6)
        np.testing.assert_allclose(result.log_probs[row].sum(-1), np.log(probabilities), rtol=1e-6)


KNOWN = [[1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5]]


def test_chain():
    check(search(TRANSITIONS, 3), KNOWN, [0.4, 0.3, 0.2])


def test_chain_of_width_1():
    check(search(TRANSITIONS, 1), KNOWN[:1], [0.4])


@pytest.mark.parametrize("steps, tokens", [(1, [[1], [2], [3]]), (3, [[1, 2, 3], [2, 3, 4], [3, 4, 5]])])
def test_chain_with_few_steps(steps, tokens):
    """The end is not reached, or not by all: what there is comes back."""
    check(search(TRANSITIONS, 3, steps), tokens, [0.4, 0.3, 0.2])


def test_short_sequences():
    tokens = [[5], [1, 5], [1, 2, 5], [1, 2, 3, 5], [1, 2, 3, 4, 5]]
    check(search(SHORT, 5), tokens, [0.9, 0.09, 0.009, 0.0009, 0.0001])


@pytest.mark.parametrize(
    "width, least, tokens, probabilities",
    [
        (1, 1, [[1, 5]], [0.09]),
        (1, 2, [[1, 2, 5]], [0.009]),
        (3, 2, [[1, 2, 5], [1, 2, 3, 5], [1, 2, 3, 4, 5]], [0.009, 0.0009, 0.0001]),
    ],
)
def test_least_steps(width, least, tokens, probabilities):
    """A processor of log-probabilities forbids the end for a while."""

    def longer(values, history):
        return jnp.where((jnp.arange(6) == STOP) & (history.step < least), -jnp.inf, values)

    check(search(SHORT, width, processors=(longer,)), tokens, probabilities)


def test_nothing_can_follow():
    """After 4 comes 5 alone: one hypothesis, and places that stay empty."""
    cell, params = markov(TRANSITIONS)
    result = generate(cell, params, jnp.array([4]), steps=6, stop=STOP, strategy=beam(3))
    assert result.lengths.tolist() == [[1, 0, 0]] and result.scores.tolist() == [[0, -np.inf, -np.inf]]
    assert np.all(result.tokens == STOP) and np.all(result.log_probs == 0)


def test_the_end_is_never_reached():
    """Two tokens in turn, and a stop token without a chance: texts of all steps."""
    table = np.array([[0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.25] * 4])
    result = search(table, 4, steps=5, stop=3)
    assert result.lengths[0].tolist() == [5, 5, 0, 0]
    assert result.tokens[0, :2].tolist() == [[1, 2, 1, 2, 1], [2, 1, 2, 1, 2]]
    assert result.tokens.shape == search(table, 4, steps=5, stop=None).tokens.shape


def test_one_token_only():
    for stop, length in ((None, 4), (0, 1)):
        result = search(np.ones((1, 1)), 3, steps=4, stop=stop)
        assert result.lengths.tolist() == [[length, 0, 0]] * 2 and np.all(result.tokens == 0)
        assert result.scores[:, 0].tolist() == [0, 0]


def test_wider_than_the_vocabulary():
    """A uniform model: all 2 ** 3 texts, each once, of equal scores."""
    result = search(np.full((2, 2), 0.5), 8, steps=3, stop=None)
    assert sorted(map(tuple, result.tokens[0].tolist())) == [tuple(map(int, f"{i:03b}")) for i in range(8)]
    np.testing.assert_allclose(result.scores, 3 * np.log(0.5), rtol=1e-6)


def test_equal_candidates_keep_their_order():
    """Of equals the first beam and the first token."""
    result = search(np.full((4, 4), 0.25), 3, steps=2, stop=None)
    assert result.tokens[0].tolist() == [[0, 0], [0, 1], [0, 2]]


@pytest.mark.parametrize("name", ["attending", pytest.param("transformer", marks=pytest.mark.slow)])
def test_width_1_is_greedy(name):
    cell, params, carry = start(name, 4)
    options = {"steps": 9, "carry": carry, "stop": 2}
    one = generate(cell, params, prompts(4, 3), strategy=beam(1, early_stop=True, length_penalty=0.0), **options)
    wanted = generate(cell, params, prompts(4, 3), strategy=greedy(), **options)
    assert jnp.array_equal(one.tokens[:, 0], wanted.tokens) and jnp.array_equal(one.lengths[:, 0], wanted.lengths)
    np.testing.assert_allclose(one.scores[:, 0], wanted.scores, rtol=1e-5)
    np.testing.assert_allclose(one.log_probs[:, 0], wanted.log_probs, rtol=1e-5)


def test_n_best_are_the_first():
    all_, some = (search(TRANSITIONS, 3, strategy=beam(3, n_best=n)) for n in (None, 2))
    assert some.tokens.shape == (2, 2, 10)
    for found, wanted in zip(some, all_):
        assert jnp.array_equal(found, wanted[:, :2])


def test_candidates():
    """Of equals the first; what has no rank has no total; parents and tokens of the flat place."""
    ranks = jnp.array([[1.0, 3.0, -jnp.inf], [3.0, 0.0, 2.0]])
    found = best(ranks, 10 + ranks, -ranks, 9)
    assert found.totals.tolist() == [13, 13, 12, 11, 10, -np.inf]
    assert found.parents.tolist() == [0, 1, 1, 0, 1, 0] and found.tokens.tolist() == [1, 0, 2, 0, 1, 2]
    assert found.log_probs.tolist() == [-3, -3, -2, -1, 0, np.inf]
    assert [part.shape for part in best(ranks, ranks, ranks, 2)] == [(2,)] * 4


def test_go_on():
    """Those that do not end, in order; empty places where there are too few."""
    numbers = jnp.arange(4)
    candidates = Candidates(jnp.array([4.0, 3.0, 2.0, -jnp.inf]), numbers, numbers + 10, numbers / 2)
    ends = jnp.array([False, True, False, False])
    assert go_on(candidates, ends, 2).tokens.tolist() == [10, 12]
    assert go_on(candidates, ends, 6).totals.tolist() == [4, 2] + 4 * [-np.inf]


BEAM, *OTHERS = beam(3, early_stop=True), diverse(4, 2, 1.0), constrained(2, (3, 4))


@pytest.mark.parametrize("strategy", [BEAM, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)])
def test_within_jit_and_over_rows(strategy):
    """The same inside a user's jit; rows do not know of each other."""
    cell, params, _ = start("rnn", 4)
    prompt, order = jnp.asarray(prompts(4, 3)), jnp.array([2, 0, 3, 1])
    run = lambda prompt: generate(cell, params, prompt, steps=6, stop=2, strategy=strategy)
    outside, moved = run(prompt), jax.jit(run)(prompt[order])
    for found, wanted in zip(moved, outside):
        np.testing.assert_allclose(found, wanted[order], rtol=1e-5)
