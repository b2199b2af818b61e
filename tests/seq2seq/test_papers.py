"""Every score, before and after the step, against the papers' equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import RNN, scan, trace
from seqjax.seq2seq import Memory, attend, copying
from seqjax.seq2seq.score import SCORES
from tests.seq2seq import reference

D, E, F, S, T = 2, 3, 3, 5, 4
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 1, 0]], bool)


def moved(params, seed=1):
    """Parameters without zeros, which hide things."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: np.asarray(p) + 0.3 * rng.standard_normal(np.shape(p)), params)


def drawn(cell, in_features=D):
    rng = np.random.default_rng(0)
    memory = Memory(
        jnp.asarray(rng.standard_normal((2, S, E))), jnp.asarray(MASK), jnp.asarray([[3, 1, 4, 1, 3], [9, 4, 0, 4, 9]])
    )
    return moved(cell.init(jax.random.key(0), in_features)), memory, rng.standard_normal((2, T, D))


@pytest.mark.parametrize("feed", ["before", "after"])
@pytest.mark.parametrize("score", SCORES)
def test_outputs_and_alignments_are_the_papers(score, feed, x64):
    cell = attend(RNN(F), score, feed, memory_features=E, start="zeros" if score in ("dot", "concat") else "bridge")
    params, memory, xs = drawn(cell)
    _, ys, seen = trace(cell, params, xs, cell.initial_carry(params, (2,), memory=memory))
    for row in range(2):
        real = np.flatnonzero(MASK[row])
        outputs, weights = reference.decode(cell, params, np.asarray(memory.values[row]), real, xs[row])
        np.testing.assert_allclose(seen["weights"][row], weights, atol=1e-13)
        np.testing.assert_allclose(ys[row], outputs, atol=1e-13)


def test_words_are_written_and_copied_as_by_see(x64):
    cell = copying(attend(RNN(F), "coverage"), 6, extra=4)
    params, memory, xs = drawn(cell)
    carry = cell.initial_carry(params, (2,), memory=memory)
    _, ys = scan(cell, params, xs, carry)
    _, hs, seen = trace(cell.cell, params["cell"], xs, carry)
    for row, t in np.ndindex(2, T):
        wanted = reference.pointer_generator(
            params, np.asarray(hs[row, t]), seen["weights"][row, t], np.where(MASK, memory.tokens, 0)[row], 10
        )
        np.testing.assert_allclose(np.exp(ys[row, t]), wanted, atol=1e-13)
        assert abs(np.sum(wanted) - 1) < 1e-13
