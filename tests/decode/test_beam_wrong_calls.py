"""Wrong calls of searches with beams, and what is said of them; logits that are NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.decode import beam, constrained, diverse, gather_tree, generate, gnmt
from seqjax.errors import ArgumentError, ArgumentTypeError
from tests.decode.markov import markov

V = 5
CELL = sj.stack(sj.Embed(V, 3), sj.GRU(3), sj.Dense(V))
PARAMS = CELL.init(jax.random.key(0), 0)


def call(strategy, **options):
    return lambda: generate(CELL, PARAMS, [1, 2], strategy=strategy, **{"steps": 3} | options)


WRONG = {
    "no beams": (lambda: beam(0), ArgumentError, "beam: width must be a whole number of at least 1, found 0"),
    "half a beam": (lambda: beam(2.5), ArgumentTypeError, "beam: width must be a whole number"),
    "no strategy yet": (call(beam), ArgumentTypeError, r"must be a strategy .* Call it: beam\(\)"),
    "more results than beams": (lambda: beam(2, n_best=3), ArgumentError, "n_best is 3, but there are 2 beams"),
    "no results": (lambda: beam(2, n_best=0), ArgumentError, "n_best must be a whole number of at least 1"),
    "a penalty by name": (lambda: beam(2, length_penalty="gnmt"), ArgumentTypeError, r"alpha or gnmt\(alpha\)"),
    "a penalty not called": (lambda: beam(2, length_penalty=gnmt), ArgumentTypeError, r"alpha or gnmt\(alpha\)"),
    "a penalty that is True": (lambda: beam(2, length_penalty=True), ArgumentTypeError, "must be a number"),
    "a penalty of NaN": (lambda: beam(2, length_penalty=np.nan), ArgumentError, "alpha must be finite"),
    "an endless gnmt": (lambda: gnmt(np.inf), ArgumentError, "alpha must be finite"),
    "an early stop by number": (lambda: beam(2, early_stop=1), ArgumentError, 'True, False or "never", found 1'),
    "an early stop misspelt": (lambda: beam(2, early_stop="Never"), ArgumentError, 'True, False or "never"'),
    "a coverage below 0": (lambda: beam(2, coverage=-0.1), ArgumentError, "coverage must be a finite number"),
    "a coverage that is True": (lambda: beam(2, coverage=True), ArgumentTypeError, "coverage must be a number"),
    "no name of weights": (lambda: beam(2, weights=1), ArgumentTypeError, "weights must be the name of a tap"),
    "coverage without attention": (call(beam(2, coverage=0.2)), ArgumentError, "no part of the cell has such a tap"),
    "groups of other sizes": (lambda: diverse(4, 3), ArgumentError, "4 cannot be split into 3 equal groups"),
    "no groups": (lambda: diverse(4, 0), ArgumentError, "groups must be a whole number of at least 1"),
    "a strength below 0": (lambda: diverse(4, 2, -1.0), ArgumentError, "strength must be a finite number"),
    "words as text": (lambda: constrained(2, "hat"), ArgumentTypeError, "Encode them"),
    "words as texts": (lambda: constrained(2, ("a", "hat")), ArgumentTypeError, "must be a whole number, found 'a'"),
    "a lone word": (lambda: constrained(2, 3), ArgumentTypeError, "words must be token ids"),
    "no words": (lambda: constrained(2, ()), ArgumentError, "one word at least"),
    "an empty word": (lambda: constrained(2, ((1,), ())), ArgumentError, "of one token at least"),
    "a word twice": (lambda: constrained(2, (1, (1,))), ArgumentError, "a word twice"),
    "a word below 0": (lambda: constrained(2, (-1,)), ArgumentError, "at least 0, found -1"),
    "a word beyond V": (call(constrained(2, (7,))), ArgumentError, "the token 7, but the vocabulary has 5"),
    "a word that stops": (call(constrained(2, (3,)), stop=3), ArgumentError, "the token 3, at which a text stops"),
    "words too long": (call(constrained(2, ((1, 2), (3, 4)))), ArgumentError, "4 tokens, which do not fit into 3 steps"),
    "a stop beyond V": (call(beam(2), stop=V), ArgumentError, "stop is 5"),
    "a tree without places": (lambda: gather_tree(np.ones(3), np.ones(3, int), np.ones(3, int)), ArgumentError, "L, K"),
    "a tree of floats": (
        lambda: gather_tree(np.ones((2, 3)), np.ones((2, 3)), np.ones(3, int)), ArgumentTypeError, "parents must be",
    ),
    "parents of another tree": (
        lambda: gather_tree(np.ones((2, 3)), np.ones((2, 2), int), np.ones(3, int)), ArgumentError, r"\(2, 3\).*\(2, 2\)",
    ),
    "paths without ends": (
        lambda: gather_tree(np.ones((2, 3)), np.ones((2, 3), int), np.ones((2, 3), int)), ArgumentError, "lengths",
    ),
    "a parent that is not there": (
        lambda: gather_tree(np.ones((2, 3)), np.full((2, 3), 3), np.full(3, 2)), ArgumentError, "places 0 to 2.*found 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused(name):
    wrong, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        wrong()


TABLE = np.array([[0.0, 1.0, 0.0], [0.5, 0.25, 0.25], [np.nan] * 3])
"""0 is followed by 1, and 1 by any; 2 by no numbers."""


def test_logits_that_are_not_numbers():
    """Two rows, the second of which reads 2 at first: an error outside jit, the score NaN inside."""
    cell, params = markov(TABLE)
    write = lambda first: generate(cell, params, first, steps=2, strategy=beam(2))
    with pytest.raises(ArgumentError, match="logits of row 1 are NaN at step 0"):
        write(jnp.array([0, 2]))
    result = jax.jit(write)(jnp.array([0, 2]))
    assert np.isnan(result.scores).tolist() == [[False] * 2, [True] * 2]
    assert result.tokens[0].tolist() == [[1, 0], [1, 1]]


def test_processors_leave_nothing():
    cell, params = markov(np.array([[0.3, 0.2, 0.5]] * 3))
    nothing = lambda values, history: jnp.where(history.step < 2, values, -jnp.inf)
    write = lambda: generate(cell, params, [0], steps=4, stop=2, strategy=strategy, processors=(nothing,))
    strategy = beam(2, early_stop="never", length_penalty=2.0)
    assert write().tokens[0, :, :2].tolist() == [[0, 2], [1, 2]]  # what has ended before that is a result
    nothing = lambda values, history: values * 0 - jnp.inf
    with pytest.raises(ArgumentError, match="left no token to choose in row 0 at step 0"):
        write()
