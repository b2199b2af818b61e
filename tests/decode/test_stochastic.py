"""Texts drawn without replacement: their probabilities against those of the model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.decode import generate, stochastic
from seqjax.decode.stochastic import perturb
from tests.decode.markov import markov

TABLE = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
STOP, STEPS = 2, 2
TEXTS = {(2,): 0.3, (0, 0): 0.25, (0, 1): 0.1, (0, 2): 0.15, (1, 0): 0.02, (1, 1): 0.12, (1, 2): 0.06}
"""All texts after a 0, and their probabilities: products of the table by hand."""


def draw(width, rows, seed=0):
    cell, params = markov(TABLE)
    options = {"steps": STEPS, "stop": STOP, "key": jax.random.key(seed)}
    result = generate(cell, params, jnp.zeros(rows, int), strategy=stochastic(width), **options)
    texts = [[tuple(text[:n]) for text, n in zip(*row)] for row in zip(result.tokens.tolist(), result.lengths.tolist())]
    return texts, result


def test_first_and_second():
    """Counts of 4000 draws, within four standard deviations: the first by p, the second by p over the rest."""
    rows = 4000
    texts, result = draw(2, rows)
    for text, p in TEXTS.items():
        first = sum(row[0] == text for row in texts)
        assert abs(first - rows * p) < 4 * (rows * p * (1 - p)) ** 0.5
        q = sum(r * p / (1 - r) for other, r in TEXTS.items() if other != text)
        second = sum(row[1] == text for row in texts)
        assert abs(second - rows * q) < 4 * (rows * q * (1 - q)) ** 0.5
    assert np.all(result.scores[:, 0] >= result.scores[:, 1]) and not np.any(result.scores[:, 0])


@pytest.mark.slow
def test_all_texts_once():
    """More beams than texts: each comes once, then empty places; log-probabilities are the model's own."""
    texts, result = draw(9, 3)
    for row, sums in zip(texts, result.log_probs.sum(axis=-1)):
        assert sorted(row[:7]) == sorted(TEXTS) and row[7:] == [(), ()]
        np.testing.assert_allclose(np.exp(sums[:7]), [TEXTS[text] for text in row[:7]], rtol=1e-5)


def test_perturbed(x64):
    """The formula as it is written, where it does not cancel; the largest child has what its parent has."""
    children = jax.random.normal(jax.random.key(0), (2, 3, 4)).at[0, 1, 2].set(-jnp.inf)
    parents = jnp.array([[0.5, -1.0, -jnp.inf], [2.0, 3.0, 0.0]])
    found, largest = perturb(parents, children), jnp.max(children, axis=-1, keepdims=True)
    wanted = -np.log(np.exp(-parents)[..., None] - np.exp(-largest) + np.exp(-children))
    np.testing.assert_allclose(found, np.where(np.isinf(parents)[..., None], -np.inf, wanted), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jnp.max(found, axis=-1), parents, rtol=1e-12)
