"""Beams wide enough to keep every hypothesis give the best of all texts, for every kind of model, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.decode import beam, constrained, diverse, generate, gnmt
from tests.decode.exhaustive import all_texts, log_probabilities, ranked
from tests.decode.models import V, prompts, start

STEPS, STOP = 3, 2
TEXTS = list(all_texts(V, STEPS, STOP))
LENGTHS = np.array([len(text) for text in TEXTS])


def row(carry, index):
    return None if carry is None else jax.tree.map(lambda a: a[index : index + 1], carry)


def check(name, strategy, scores_of, texts=None, top=3, seed=0):
    """The first results in each of two rows are those of the brute force: texts, scores, and their log-probabilities."""
    cell, params, carry = start(name, 2, seed=seed, dtype=jnp.float64)
    prompt, allowed = prompts(2, 3), list(range(len(TEXTS))) if texts is None else texts
    result = generate(cell, params, prompt, steps=STEPS, strategy=strategy, stop=STOP, carry=carry)
    for r in range(2):
        sums = log_probabilities(cell, params, prompt[r], TEXTS, row(carry, r))
        wanted, scores = ranked([TEXTS[i] for i in allowed], scores_of(sums)[allowed])
        found = [text[:n].tolist() for text, n in zip(result.tokens[r], result.lengths[r])]
        count = min(top, len(allowed))
        assert found[:count] == wanted[:count]
        np.testing.assert_allclose(result.scores[r, :count], scores[:count], rtol=1e-10)
        places = [TEXTS.index(tuple(text)) for text in wanted[:count]]
        np.testing.assert_allclose(result.log_probs[r, :count].sum(-1), sums[places], rtol=1e-10)


@pytest.mark.parametrize("name", ["rnn", "hybrid", "attending", pytest.param("transformer", marks=pytest.mark.slow)])
def test_full_width(name, x64):
    check(name, beam(V**STEPS), lambda sums: sums / LENGTHS)


@pytest.mark.parametrize(
    "penalty, divisor",
    [
        pytest.param(0.0, 1.0, marks=pytest.mark.slow),
        pytest.param(2.0, LENGTHS**2.0, marks=pytest.mark.slow),
        pytest.param(-1.0, 1.0 / LENGTHS, marks=pytest.mark.slow),
        (gnmt(0.6), ((5 + LENGTHS) / 6) ** 0.6),
    ],
)
def test_penalties(penalty, divisor, x64):
    """All results, not only the first."""
    strategy = beam(V**STEPS, length_penalty=penalty, early_stop="never")
    check("rnn", strategy, lambda sums: sums / divisor, top=len(TEXTS))


@pytest.mark.slow
def test_full_width_in_one_group(x64):
    check("rnn", diverse(V**STEPS, 1, 3.0), lambda sums: sums / LENGTHS)


def holds(text, words):
    return all(any(text[i : i + len(w)] == w for i in range(len(text))) for w in words)


@pytest.mark.parametrize(
    "words",
    [
        ((4, 5), (5,)),
        pytest.param(((4, 4),), marks=pytest.mark.slow),
        pytest.param(((4,),), marks=pytest.mark.slow),
        pytest.param(((4,), (5,)), marks=pytest.mark.slow),
        pytest.param(((6,), (4, 6)), marks=pytest.mark.slow),
    ],
)
def test_constrained(words, x64):
    """Exactly the texts that hold the words, one within another too, in the order of all."""
    allowed = [i for i, text in enumerate(TEXTS) if holds(text, words)]
    strategy = constrained(V**STEPS, words)
    check("rnn", strategy, lambda sums: sums / LENGTHS, allowed, top=len(TEXTS))


@pytest.mark.slow
def test_narrow_beams_are_not_far(x64):
    """A beam of 4 finds texts that are among all texts, with their own scores, in order."""
    cell, params, _ = start("hybrid", 2, dtype=jnp.float64)
    prompt = prompts(2, 3)
    result = generate(cell, params, prompt, steps=STEPS, strategy=beam(4), stop=STOP)
    for r in range(2):
        sums = log_probabilities(cell, params, prompt[r], TEXTS)
        for text, n, score in zip(result.tokens[r], result.lengths[r], result.scores[r]):
            np.testing.assert_allclose(score, sums[TEXTS.index(tuple(text[:n].tolist()))] / n, rtol=1e-10)
        assert np.all(np.diff(result.scores[r]) <= 0)


@pytest.mark.slow
def test_scores_are_those_of_a_teacher_forced_scan(x64):
    cell, params, carry = start("attending", 2, dtype=jnp.float64)
    prompt = prompts(2, 3)
    result = generate(cell, params, prompt, steps=6, strategy=beam(3), stop=STOP, carry=carry)
    for k in range(3):
        xs = jnp.concatenate([jnp.asarray(prompt), result.tokens[:, k]], axis=1)
        logits = sj.scan(cell, params, xs[:, :-1], carry)[1][:, 2:]
        wanted = jnp.take_along_axis(jax.nn.log_softmax(logits), result.tokens[:, k, :, None], axis=-1)[..., 0]
        real = jnp.arange(6)[None] < result.lengths[:, k, None]
        np.testing.assert_allclose(result.log_probs[:, k], jnp.where(real, wanted, 0), rtol=1e-10)
