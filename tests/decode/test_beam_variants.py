"""Diverse and constrained beams, and what a carry needs: typed keys and clocks follow their beams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import Cell
from seqjax.decode import alignments, beam, constrained, diverse, generate
from seqjax.decode.automaton import make_automaton, overlap
from tests.decode.markov import markov
from tests.decode.models import V, prompts, start

STOP = 2


def run(strategy, name="rnn", steps=6, batch=3, stop=STOP, **options):
    cell, params, carry = start(name, batch)
    return generate(cell, params, prompts(batch, 3), steps=steps, strategy=strategy, stop=stop, carry=carry, **options)


@pytest.mark.slow
def test_one_group_is_a_beam():
    for found, wanted in zip(run(diverse(4, 1, 5.0)), run(beam(4))):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_groups_without_strength_are_equal():
    """Each group is a beam of half the width, so every result comes twice."""
    found, wanted = run(diverse(4, 2, 0.0)), run(beam(2))
    for ours, theirs in zip(found, wanted):
        np.testing.assert_allclose(ours[:, ::2], theirs, rtol=1e-6)
        np.testing.assert_allclose(ours[:, 1::2], theirs, rtol=1e-6)


def diverse_plainly(table, groups, strength, steps):
    """Groups of one beam each, one after another in each step (Vijayakumar et al. 2018, algorithm 1)."""
    texts = [[0] for _ in range(groups)]
    for _ in range(steps):
        chosen = []
        for text in texts:
            ranks = np.log(table[text[-1]]) - strength * np.array([chosen.count(v) for v in range(len(table))])
            chosen.append(int(np.argmax(ranks)))
            text.append(chosen[-1])
    return [text[1:] for text in texts]


@pytest.mark.parametrize("strength", [0.3])
def test_groups_avoid_each_other(strength):
    table = np.random.default_rng(0).dirichlet(np.ones(6), 6)
    cell, params = markov(table)
    strategy = diverse(3, 3, strength)
    result = generate(cell, params, jnp.zeros(1, int), steps=8, strategy=strategy)
    wanted = diverse_plainly(table, 3, strength, 8)
    assert sorted(result.tokens[0].tolist()) == sorted(wanted) and len({*map(tuple, wanted)}) == 3
    sums = result.log_probs[0].sum(axis=-1)
    np.testing.assert_allclose(result.scores[0], sums / 8, rtol=1e-5)  # the model's own, without the penalty


def holds(text, words):
    return all(any(tuple(text[i : i + len(w)]) == w for i in range(len(text))) for w in words)


@pytest.mark.parametrize("name", ["attending", pytest.param("transformer", marks=pytest.mark.slow)])
def test_every_result_holds_the_words(name):
    words = ((4,), (5, 6, 5), (6, 1))
    result = run(constrained(2, words), name, steps=8)
    assert np.all(result.scores > -np.inf)
    for text, n in zip(result.tokens.reshape(-1, 8).tolist(), result.lengths.reshape(-1).tolist()):
        assert holds(text[:n], words)


def test_just_enough_steps():
    """Two words in any order, and no step to spare."""
    result = run(constrained(2, ((4, 4), (5,))), steps=3)
    assert all(text in ([4, 4, 5], [5, 4, 4]) for row in result.tokens.tolist() for text in row)


def test_automaton():
    """Progress of each phrase against a search in the text, whatever the tokens."""
    phrases, rng = ((1, 1, 2), (1, 2), (3,)), np.random.default_rng(0)
    automaton = make_automaton(phrases, 5)
    for _ in range(6):
        text, progress = rng.integers(0, 4, 12).tolist(), jnp.zeros((1, 1, 3), jnp.int32)
        for t, token in enumerate(text):
            banks = automaton.banks(progress)[0, 0, token]
            progress = automaton.move(progress, jnp.zeros((1, 1), jnp.int32), jnp.array([[token]]))
            past = tuple(text[: t + 1])
            whole = [holds(past, (phrase,)) for phrase in phrases]
            wanted = [len(p) if w else overlap(p, past) for p, w in zip(phrases, whole)]
            assert progress[0, 0].tolist() == wanted
            open_ = [n for n, w in zip(wanted, whole) if not w]
            assert banks == sum(len(p) for p, w in zip(phrases, whole) if w) + max(open_, default=0)


class Walk(Cell):
    """Its carry: a key that it draws noise from, a clock, and all tokens read; the logits are a table and the noise."""

    steps: int
    feature_axes = 0
    asks = frozenset({"key"})
    out_features = 5

    def init(self, key, in_features, dtype=jnp.float32):
        return {"table": jax.random.normal(key, (5, 5), dtype)}

    def initial_carry(self, params, batch_shape=(), *, key):
        zeros = jnp.zeros(batch_shape, jnp.int32)
        return jax.random.split(key, batch_shape), zeros, jnp.zeros((*batch_shape, self.steps), jnp.int32)

    def step(self, params, carry, x):
        keys, clock, read = carry
        noise = jax.vmap(lambda key, t: jax.random.normal(jax.random.fold_in(key, t), 5))(keys, clock)
        read = jnp.where(jnp.arange(self.steps)[None] == clock[:, None], x[:, None], read)
        weights, logits = 1.0 + jnp.arange(self.steps), params["table"][x] + noise
        return (keys, clock + 1, read), logits + jnp.sin(read @ weights)[:, None] * jnp.arange(5.0)[None]


def test_keys_and_clocks_follow_their_beams():
    """Each result's log-probabilities are those of a scan over it from the same carry: nothing was mixed up."""
    cell = Walk(8)
    params = cell.init(jax.random.key(0), 0)
    carry = cell.initial_carry(params, (3,), key=jax.random.key(1))
    first = jnp.array([0, 1, 2])
    result = generate(cell, params, first, steps=6, strategy=beam(4), stop=3, carry=carry)
    for k in range(4):
        xs = jnp.concatenate([first[:, None], result.tokens[:, k, :-1]], axis=1)
        logits = sj.scan(cell, params, xs, carry)[1]
        wanted = jnp.take_along_axis(jax.nn.log_softmax(logits), result.tokens[:, k, :, None], axis=-1)[..., 0]
        real = jnp.arange(6)[None] < result.lengths[:, k, None]
        np.testing.assert_allclose(result.log_probs[:, k], jnp.where(real, wanted, 0), rtol=1e-5, atol=1e-6)


def test_dead_beams_do_not_spoil_a_row(x64):
    """One token can follow: the other beams are empty, also where the model gives NaN for what they read."""
    table = np.full((3, 3), np.nan)
    table[0], table[1] = [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]
    cell, params = markov(table)
    result = generate(cell, params, jnp.zeros(2, int), steps=4, strategy=beam(3, n_best=1))
    assert result.tokens[:, 0].tolist() == [[1] * 4] * 2 and V > 3


@pytest.mark.slow
def test_alignments_of_all_beams():
    """The weights of each hypothesis are those of a trace over it: of the best one, and of the others."""
    cell, params, carry = start("attending", 2)
    prompt, options = prompts(2, 3), {"steps": 6, "carry": carry}
    result = generate(cell, params, prompt, strategy=beam(3, early_stop=True), stop=STOP, **options)
    weights = alignments(cell, params, prompt, result, carry=carry)
    for row, k in np.ndindex(2, 3):
        size = int(result.lengths[row, k])
        text = np.concatenate([prompt[row], result.tokens[row, k]])
        seen = sj.trace(cell, params, jnp.asarray(text), jax.tree.map(lambda a: a[row], carry))[2]["1/weights"]
        np.testing.assert_allclose(weights[row, k, :size], seen[2:][:size], rtol=1e-5)
        assert not np.any(weights[row, k, size:])
