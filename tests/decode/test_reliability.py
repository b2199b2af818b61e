"""What happens at the edges: nothing to write, nothing to choose, no end, NaN, full caches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import seqjax as sj
from seqjax import decode
from seqjax.errors import ArgumentError
from seqjax.interop import as_cell
from seqjax.nn import EncoderDecoder, Memory, TransformerDecoder
from tests.decode.models import V, prompts, start, write_plainly

B = 2


def test_no_steps_and_no_rows():
    cell, params, _ = start("rnn", B)
    for write in (decode.generate, jax.jit(decode.generate, static_argnums=0, static_argnames="steps")):
        none = write(cell, params, prompts(B, 3), steps=0)
        assert none.tokens.shape == none.log_probs.shape == (B, 0)
        assert none.lengths.tolist() == none.scores.tolist() == [0, 0]
        assert write(cell, params, np.zeros((0, 3), int), steps=4).tokens.shape == (0, 4)


def test_an_end_that_never_comes():
    cell, params, _ = start("rnn", B)
    never = lambda logits, history: logits.at[..., 0].set(-jnp.inf)
    found = decode.generate(cell, params, prompts(B, 3), steps=40, stop=0, processors=[never])
    assert found.lengths.tolist() == [40, 40] and not np.any(np.asarray(found.tokens) == 0)


def test_a_vocabulary_of_one():
    cell = sj.stack(sj.Embed(1, 3), sj.GRU(3), sj.Dense(1))
    params = cell.init(jax.random.key(0), 0)
    options = {"strategy": decode.sample(top_k=4, top_p=0.5), "key": jax.random.key(0)}
    for given in ({}, options):
        found = decode.generate(cell, params, [0, 0], steps=3, **given)
        assert not np.any(found.tokens) and not np.any(found.log_probs)
    assert decode.generate(cell, params, [0, 0], steps=3, stop=0).lengths.tolist() == [1, 1]


@pytest.mark.parametrize("width", [3, 60])
def test_all_beams_equal(width):
    """Every text is as good as any other: the first in order, none twice, fewer than are asked for where there are fewer."""
    cell, params, _ = start("rnn", B)
    params = jax.tree.map(jnp.zeros_like, params)
    found = decode.generate(cell, params, prompts(B, 2), steps=2, strategy=decode.beam(width))
    ended = found.lengths[0] == 2
    assert found.tokens[0, 0].tolist() == [0, 0]
    assert len(set(map(tuple, found.tokens[0][ended].tolist()))) == ended.sum() == min(width, V * V)
    np.testing.assert_allclose(found.scores[0][ended], -np.log(V), rtol=1e-6)
    assert np.all(np.isneginf(found.scores[0][~ended]))


class Broken(sj.Wrapper):
    """Logits that are NaN after the token 3, and all -inf after the token 4."""

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        y = jnp.where((x == 3)[..., None], jnp.nan, y)
        return carry, jnp.where((x == 4)[..., None], -jnp.inf, y)


def test_logits_that_are_not_numbers():
    inner, params, _ = start("rnn", 3)
    cell, path = Broken(inner), jnp.array([[1, 1, 1, 1], [1, 3, 1, 1], [1, 1, 4, 1]])
    for last in (4, 2, 3):  # the failure of all rows, of the second alone, of the third alone
        rows = np.array({4: [0, 1, 2], 2: [1], 3: [2]}[last])
        options = {"steps": 4, "processors": [decode.prefix(path[rows])]}
        with pytest.raises(ArgumentError, match=f"row {1 if last == 4 else 0} are NaN at step {3 if last == 3 else 2}"):
            decode.generate(cell, params, np.ones(len(rows), int), **options)
    inside = jax.jit(lambda: decode.generate(cell, params, np.ones(3, int), steps=4, processors=[decode.prefix(path)]))
    found = inside()
    assert np.isnan(found.scores).tolist() == [False, True, True]
    assert found.tokens[:, :3].tolist() == [[1, 1, 1], [1, 3, 0], [1, 1, 4]]
    assert np.isnan(found.log_probs).tolist() == [[False] * 4, [False, False, True, False], [False] * 3 + [True]]


def test_lengths_inside_jit():
    """They are not known there: a row without a first token, or of more than there are, has no score."""
    cell, params, _ = start("rnn", 3)
    write = lambda lengths: decode.generate(cell, params, prompts(3, 4), steps=3, lengths=lengths)
    found = jax.jit(write)(np.array([4, 0, 5]))
    assert np.isnan(found.scores).tolist() == [False, True, True]
    assert found.tokens[0].tolist() == write(np.array([4, 1, 1])).tokens[0].tolist()


def test_the_bound_of_a_cache():
    """All tokens are read but the last that is written: 5 + 6 - 1 fit into 10."""
    cell = as_cell(TransformerDecoder, V, 8, 2, 1, capacity=10)
    params = cell.init(jax.random.key(0), 0)
    assert decode.generate(cell, params, prompts(B, 5), steps=6).tokens.shape == (B, 6)
    with pytest.raises(ArgumentError, match="holds 10 tokens, but prompt and 7 steps need 11"):
        decode.generate(cell, params, prompts(B, 5), steps=7)
    assert decode.generate(cell, params, prompts(B, 5), steps=7, lengths=[4, 3]).tokens.shape == (B, 7)
    carry, _ = sj.scan(cell, params, prompts(B, 3))
    with pytest.raises(ArgumentError, match="need 11"):
        decode.generate(cell, params, prompts(B, 5), steps=4, carry=carry)
    with pytest.raises(ArgumentError, match="need 11"):  # also while a program is being traced
        jax.jit(lambda prompt: decode.generate(cell, params, prompt, steps=7))(prompts(B, 5))
    scan = jax.jit(lambda carry: decode.generate(cell, params, prompts(B, 5), steps=4, carry=carry))
    assert np.isnan(scan(carry).scores).all()


def test_a_source_longer_than_any_before():
    """Nothing of a recurrent decoder knows how long a source may be; learned positions know, and say so."""
    cell, params, _ = start("attending", B)
    memory = Memory(jax.random.normal(jax.random.key(1), (B, 200, 8)))
    carry = cell.initial_carry(params, (B,), memory=memory)
    found = decode.generate(cell, params, prompts(B, 3), steps=4, carry=carry)
    for r in range(B):
        alone = jax.tree.map(lambda a, r=r: a[r : r + 1], carry)
        assert found.tokens[r].tolist() == write_plainly(cell, params, prompts(B, 3)[r], 4, alone)[0]
    module = EncoderDecoder(V, 8, 2, 1, positions="learned", capacity=6, rngs=nnx.Rngs(0))
    with pytest.raises(ArgumentError, match="7 tokens, but positions are learned for 6"):
        module.encode(jnp.ones((1, 7), jnp.int32))


def test_an_empty_source():
    """A transformer whose memory has no real slot writes, and without NaN."""
    cell = as_cell(TransformerDecoder, V, 8, 2, 1, capacity=10)
    both = sj.cell_from_text(f"as_cell(EncoderDecoder, {V}, 8, 2, 1, capacity=16)")
    params = both.init(jax.random.key(0), 0)
    assert cell != both
    mask = jnp.array([[True] * 3, [False] * 3])
    memory = Memory(jax.random.normal(jax.random.key(1), (B, 3, 8)), mask)
    carry = both.initial_carry(params, (B,), memory=memory)
    found = decode.generate(both, params, [1, 1], steps=4, carry=carry)
    assert np.all(np.isfinite(found.scores))
    alone = both.initial_carry(params, (1,), memory=Memory(memory.values[:1]))
    assert decode.generate(both, params, [1], steps=4, carry=alone).tokens[0].tolist() == found.tokens[0].tolist()
