"""Beams of many rows: each as if it were alone, with prompts of any length, in one program."""

import functools

import jax
import numpy as np
import pytest

from seqjax import decode
from tests.decode.models import TRACES, Counted, prompts, start

STRATEGIES = {
    "beam": decode.beam(3),
    "diverse": decode.diverse(2, 2, 0.5),
    "constrained": decode.constrained(3, ((4,),)),
    "stochastic": decode.stochastic(3),
}


def row(carry, index):
    return None if carry is None else jax.tree.map(lambda a: a[index : index + 1], carry)


@pytest.mark.parametrize(
    "kind", ["beam", *(pytest.param(k, marks=pytest.mark.slow) for k in STRATEGIES if k != "beam")]
)
@pytest.mark.parametrize("name", ["attending", "transformer"])
def test_ragged_prompts_are_each_alone(name, kind):
    """What stands behind a shorter prompt is not read; a row's hypotheses depend on no other row."""
    cell, params, carry = start(name, 3)
    prompt, lengths = prompts(3, 5), [5, 1, 3]
    keys = jax.random.split(jax.random.key(4), 3)
    run = functools.partial(decode.generate, cell, params, steps=4, strategy=STRATEGIES[kind], stop=2)
    together = run(prompt, lengths=lengths, carry=carry, key=keys)
    for r, n in enumerate(lengths):
        alone = run(prompt[r : r + 1, :n], carry=row(carry, r), key=keys[r : r + 1])
        np.testing.assert_array_equal(together.tokens[r], alone.tokens[0])
        np.testing.assert_allclose(together.scores[r], alone.scores[0], atol=1e-4)


@pytest.mark.parametrize("name", ["attending", pytest.param("transformer", marks=pytest.mark.slow)])
def test_one_program_serves_all_lengths_of_beams(name):
    cell, params, carry = start(name, 2)
    run = functools.partial(
        decode.generate, Counted(cell), params, strategy=decode.beam(3, n_best=1), stop=2, carry=carry
    )
    TRACES.clear()
    run(prompts(2, 5), steps=4)
    assert TRACES
    TRACES.clear()
    for size, steps in ((2, 1), (9, 17), (5, 8)):
        assert run(prompts(2, size), steps=steps).tokens.shape == (2, 1, steps)
    assert not TRACES
