"""Greedy decoding is the plain loop of `cell.step` and argmax, for every kind of model, however it is called."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import decode
from tests.decode.models import TRACES, Counted, V, prompts, start, write_plainly

B, P, L = 3, 4, 6
RAGGED = [4, 1, 3]


def row_of(carry, row):
    return jax.tree.map(lambda a: a[row : row + 1], carry)


@pytest.mark.parametrize("name", ["rnn", "transformer", "attending", pytest.param("hybrid", marks=pytest.mark.slow)])
def test_greedy_is_the_plain_loop(name):
    cell, params, carry = start(name, B)
    prompt = prompts(B, P)
    found = decode.generate(cell, params, prompt, steps=L, lengths=RAGGED, carry=carry)
    for row in range(B):
        alone = None if carry is None else row_of(carry, row)
        tokens, log_probs = write_plainly(cell, params, prompt[row, : RAGGED[row]], L, alone)
        assert found.tokens[row].tolist() == tokens
        np.testing.assert_allclose(found.log_probs[row], log_probs, rtol=1e-4, atol=1e-5)
    assert found.lengths.tolist() == [L] * B
    np.testing.assert_allclose(found.scores, found.log_probs.sum(axis=1), rtol=1e-5)
    if carry is not None:
        return
    # To go on from a carry is to go on after a longer prompt.
    again = decode.generate(cell, params, np.concatenate([prompt, found.tokens[:, :3]], axis=1)[:1], steps=3)
    read, _ = sj.scan(cell, params, prompt[:1])
    later = decode.generate(cell, params, found.tokens[:1, :3], steps=3, carry=read)
    assert again.tokens.tolist() == later.tokens.tolist() == found.tokens[:1, 3:].tolist()


@pytest.mark.parametrize("name", [pytest.param("hybrid", marks=pytest.mark.slow), "attending"])
def test_scores_are_those_of_the_model_that_reads_the_text(name, x64):
    cell, params, carry = start(name, B, dtype=jnp.float64)
    prompt = prompts(B, P)
    found = decode.generate(cell, params, prompt, steps=L, carry=carry, stop=3, processors=[decode.repetition(2.0)])
    text = np.concatenate([prompt, found.tokens], axis=1)
    _, logits = sj.scan(cell, params, text[:, :-1], carry)
    wanted = np.take_along_axis(jax.nn.log_softmax(logits), text[:, 1:, None], axis=-1)[:, P - 1 :, 0]
    wanted = np.where(np.arange(L) < np.asarray(found.lengths)[:, None], wanted, 0)
    assert found.log_probs.dtype == np.float64
    np.testing.assert_allclose(found.log_probs, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.scores, wanted.sum(axis=1), rtol=1e-12)


def test_texts_stop():
    cell, params, _ = start("rnn", B)
    prompt = prompts(B, P)
    free = np.asarray(decode.generate(cell, params, prompt, steps=L).tokens)
    stop = int(free[0, 2])
    found = decode.generate(cell, params, prompt, steps=L, stop=(stop, V - 1))
    for row in range(B):
        ends = [i for i, token in enumerate(free[row]) if token in (stop, V - 1)]
        length = ends[0] + 1 if ends else L
        assert found.lengths[row] == length
        assert found.tokens[row].tolist() == [*free[row, :length], *[stop] * (L - length)]
        assert not np.any(found.log_probs[row, length:])


def test_rows_may_be_moved():
    cell, params, carry = start("attending", B)
    prompt, order = prompts(B, P), np.array([2, 0, 1])
    options = {"strategy": decode.sample(), "steps": L}
    keys = jax.random.split(jax.random.key(3), B)
    here = decode.generate(cell, params, prompt, lengths=RAGGED, carry=carry, key=keys, **options)
    moved = jax.tree.map(lambda a: a[order], carry)
    lengths = np.array(RAGGED)[order]
    there = decode.generate(cell, params, prompt[order], lengths=lengths, carry=moved, key=keys[order], **options)
    assert there.tokens.tolist() == here.tokens[order].tolist()


def test_one_program_serves_all_lengths():
    cell, params, _ = start("rnn", B)
    cell = Counted(cell)
    run = functools.partial(decode.generate, cell, params)
    first = run(prompts(B, 5), steps=4)
    assert TRACES
    TRACES.clear()
    with jax.log_compiles(False):
        longer = run(prompts(B, 5), steps=30, lengths=[5, 2, 3])
    assert longer.tokens[0, :4].tolist() == first.tokens[0].tolist()
    for size, steps in ((2, 1), (9, 17), (33, 32)):
        assert run(prompts(B, size), steps=steps).tokens.shape == (B, steps)
    run(prompts(B, 5), steps=4, processors=())
    assert not TRACES
    run(prompts(B, 34), steps=4)
    assert TRACES


def test_inside_jit_and_vmap():
    cell, params, _ = start("rnn", B)
    prompt = prompts(B, P)
    wanted = decode.generate(cell, params, prompt, steps=L, lengths=RAGGED, stop=2)

    @jax.jit
    def write(params, prompt, lengths):
        return decode.generate(cell, params, prompt, steps=L, lengths=lengths, stop=2)

    assert write(params, prompt, np.array(RAGGED)).tokens.tolist() == wanted.tokens.tolist()
    one = lambda row, length: write(params, row[None], length[None]).tokens[0]
    assert jax.vmap(one)(prompt, np.array(RAGGED)).tolist() == wanted.tokens.tolist()
    several = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), params)
    both = jax.vmap(lambda params: write(params, prompt, np.array(RAGGED)).tokens)(several)
    assert both[0].tolist() == wanted.tokens.tolist()


def test_prompts_of_one_token():
    cell, params, _ = start("rnn", 8)
    prompt = prompts(8, 3)
    first = decode.generate(cell, params, prompt[:, 0].tolist(), steps=L)
    assert first.tokens.tolist() == decode.generate(cell, params, prompt[:, :1], steps=L).tokens.tolist()
