"""Greedy decoding is the plain loop of `cell.step` and argmax, for every kind of model."""

import jax
import numpy as np
import pytest

from seqjax import decode
from tests.decode.models import MODELS, prompts, start, write_plainly

B, P, L = 3, 4, 6


@pytest.mark.parametrize("name", MODELS)
def test_greedy_is_the_plain_loop(name):
    cell, params, carry = start(name, B)
    prompt, lengths = prompts(B, P), [4, 1, 3]
    found = decode.generate(cell, params, prompt, steps=L, lengths=lengths, carry=carry)
    for row in range(B):
        alone = None if carry is None else jax.tree.map(lambda a: a[row : row + 1], carry)
        tokens, log_probs = write_plainly(cell, params, prompt[row, : lengths[row]], L, alone)
        assert found.tokens[row].tolist() == tokens
        np.testing.assert_allclose(found.log_probs[row], log_probs, rtol=1e-4, atol=1e-5)
    assert found.lengths.tolist() == [L] * B
    np.testing.assert_allclose(found.scores, found.log_probs.sum(axis=1), rtol=1e-5)
