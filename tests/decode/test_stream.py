"""Tokens one step at a time, and the alignments of a text."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import decode
from seqjax.errors import ArgumentError
from tests.attending_cells import AttendingLSTM
from tests.decode.models import V, prompts, start

B, P, L = 2, 4, 6


@pytest.mark.parametrize("name", ["rnn", "attending"])
def test_a_stream_is_what_is_generated(name):
    cell, params, carry = start(name, B)
    options = {"lengths": [4, 2], "carry": carry, "stop": 3, "processors": [decode.no_repeat(2)]}
    options |= {"strategy": decode.sample(2.0), "key": jax.random.key(2)}
    wanted = decode.generate(cell, params, prompts(B, P), steps=L, **options)
    for _ in range(2):  # the caller's carry is still there
        found = np.stack(list(decode.stream(cell, params, prompts(B, P), steps=L, **options)), axis=1)
        assert found.tolist() == wanted.tokens[:, : found.shape[1]].tolist()
        assert found.shape[1] == max(wanted.lengths)


def test_an_endless_stream_outgrows_its_buffers():
    cell, params, _ = start("rnn", 1)
    tokens = decode.stream(cell, params, prompts(1, P), processors=[decode.repetition(1.1)])
    found = [int(token[0]) for token in itertools.islice(tokens, 40)]
    wanted = decode.generate(cell, params, prompts(1, P), steps=40, processors=[decode.repetition(1.1)])
    assert found == wanted.tokens[0].tolist()


def test_a_stream_ends_where_the_cache_is_full():
    block = sj.cell_from_text("as_cell(TransformerBlock, 4, 2, capacity=6)")
    cell = sj.stack(sj.Embed(V, 4), block, sj.Dense(V))
    params = cell.init(jax.random.key(0), 0)
    tokens = decode.stream(cell, params, prompts(1, P))
    assert len(list(itertools.islice(tokens, 3))) == 3  # 4 tokens and 2 more are read
    with pytest.raises(ArgumentError, match="full after 3 tokens"):
        next(tokens)


def test_alignments_are_the_weights_of_each_step():
    cell, params, carry = start("attending", B)
    prompt, lengths = prompts(B, P), [4, 2]
    found = decode.generate(cell, params, prompt, steps=L, lengths=lengths, carry=carry, stop=3)
    weights = decode.alignments(cell, params, prompt, found, lengths=lengths, carry=carry)
    assert weights.shape == (B, L, 5)
    for row in range(B):
        text = np.concatenate([prompt[row, : lengths[row]], found.tokens[row]])
        size = int(found.lengths[row])
        alone = jax.tree.map(lambda a: a[row], carry)
        seen = sj.trace(cell, params, jnp.asarray(text[:-1]), alone)[2]["1/weights"]
        np.testing.assert_allclose(weights[row, :size], seen[lengths[row] - 1 :][:size], rtol=1e-5)
        assert not np.any(weights[row, size:])
    beams = jax.tree.map(lambda a: jnp.stack([a, a[::-1]], axis=1), found)
    both = decode.alignments(cell, params, prompt, beams, lengths=lengths, carry=carry)
    np.testing.assert_allclose(both[:, 0], weights, rtol=1e-6)
    with pytest.raises(ArgumentError, match="no tap 'wieghts'.*'1/weights'"):
        decode.alignments(cell, params, prompt, found, carry=carry, name="wieghts")


def test_alignments_of_several_layers_are_told_apart():
    cell = sj.stack(sj.Embed(V, 6), AttendingLSTM(4), AttendingLSTM(4), sj.Dense(V))
    params = cell.init(jax.random.key(0), 0)
    carry = cell.initial_carry(params, (1,), memory=jnp.ones((1, 5, 4)))
    zeros = jnp.zeros((1, 2))
    found = decode.Generation(zeros.astype(int), jnp.array([2]), zeros[:, 0], zeros)
    with pytest.raises(ArgumentError, match="several taps.*1/weights, 2/weights"):
        decode.alignments(cell, params, [1], found, carry=carry)
    assert decode.alignments(cell, params, [1], found, carry=carry, name="2/weights").shape == (1, 2, 5)
