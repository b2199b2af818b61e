"""Processors against plain Python, the blocks of OpenNMT, and in the loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax import decode
from seqjax.errors import ArgumentError
from tests.decode.models import V, prompts, start

ROOM = 6
run = jax.jit(lambda processor, logits, history: processor(logits, history))


def make_history(prompts, generated):
    """Of lists: one beam a row, prompts ragged, as many generated tokens in each."""
    padded = np.zeros((len(prompts), 4), np.int32)
    for row, tokens in zip(padded, prompts):
        row[: len(tokens)] = tokens
    step = len(generated[0])
    buffer = np.full((len(prompts), 1, ROOM), 9, np.int32)
    buffer[:, 0, :step] = generated
    lengths = jnp.array(list(map(len, prompts)), jnp.int32)
    return decode.History(jnp.asarray(padded), lengths, jnp.asarray(buffer), jnp.array(step, jnp.int32))


texts = st.integers(0, 5).flatmap(
    lambda step: st.lists(
        st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.lists(st.integers(0, 2), min_size=step, max_size=step)),
        min_size=2, max_size=2,
    )
)  # fmt: skip


@given(texts, st.integers(1, 4), st.booleans())
def test_no_repeat_forbids_the_ends_of_known_n_grams(rows, size, prompt):
    history = make_history(*map(list, zip(*rows)))
    found = np.asarray(run(decode.no_repeat(size, prompt=prompt), jnp.zeros((2, 1, 4)), history))[:, 0]
    for row, (before, after) in zip(found, rows):
        text = [*before, *after] if prompt else list(after)
        grams = {tuple(text[i : i + size]) for i in range(len(text) - size + 1)}
        end = text[len(text) - size + 1 :] if size > 1 else []
        for token in range(4):
            banned = len(end) == size - 1 and (*end, token) in grams
            assert (row[token] == -np.inf) == banned


@given(texts, st.booleans())
def test_repetition_divides_and_multiplies(rows, prompt):
    history = make_history(*map(list, zip(*rows)))
    logits = np.array([[[2.0, -3.0, 0.0, 5.0]]] * 2, np.float32)
    found = np.asarray(run(decode.repetition(1.5, prompt=prompt), logits, history))[:, 0]
    for row, (before, after) in zip(found, rows):
        seen = {*before, *after} if prompt else set(after)
        for token, value in enumerate([2.0, -3.0, 0.0, 5.0]):
            wanted = value if token not in seen else value / 1.5 if value > 0 else value * 1.5
            assert row[token] == np.float32(wanted)


def write(*processors, **options):
    cell, params, _ = start("rnn", 3)
    return np.asarray(decode.generate(cell, params, prompts(3, 4), steps=8, processors=processors, **options).tokens)


def test_in_the_loop():
    assert np.all(np.isin(write(decode.allowed([1, 4])), [1, 4]))
    mask = np.ones((3, V), bool)
    mask[0, 2:] = False
    free, masked = write(), write(decode.allowed(mask))
    assert np.all(masked[0] < 2) and np.array_equal(masked[1:], free[1:])
    assert np.all(write(decode.prefix([5, 0, 5]))[:, :3] == [5, 0, 5])
    given = write(decode.prefix([[5, 0], [1, 3], [2, 2]], lengths=[2, 0, 1]))
    assert given[0, :2].tolist() == [5, 0] and given[2, 0] == 2 and np.array_equal(given[1], free[1])
    with pytest.raises(ArgumentError, match="left no token to choose in row 0 at step 3"):
        write(decode.no_repeat(1, prompt=False), decode.allowed([6, 2, 3]))


def test_the_block_of_opennmt():
    """Its test of `block_ngram_repeats`: a model that would repeat one n-gram for ever must leave it."""
    free = write()
    blocked = write(decode.no_repeat(2, prompt=False))
    for row in blocked:
        pairs = [tuple(row[i : i + 2]) for i in range(7)]
        assert len(set(pairs)) == 7
    assert any(len({tuple(row[i : i + 2]) for i in range(7)}) < 7 for row in free)


@pytest.mark.parametrize("least", [0, 3, 8])
def test_min_length(least):
    """Its test of `min_length`: the stop token is the most likely one, and comes as soon as it may."""
    cell, params, _ = start("rnn", 3)
    favour = lambda logits, history: logits.at[..., 2].add(1000.0)
    options = {"steps": 8, "stop": 2, "processors": (favour, decode.min_length(least, stop=2))}
    found = decode.generate(cell, params, prompts(3, 4), **options)
    assert found.lengths.tolist() == [min(least + 1, 8)] * 3


def test_a_function_of_ones_own_sees_the_text():
    def ascend(logits, history):
        """Each token is the last of the text, plus one."""
        last = jnp.take_along_axis(history.tokens, history.count[:, None, None] - 1, axis=-1)
        wanted = (last + 1) % logits.shape[-1]
        return jnp.where(jnp.arange(logits.shape[-1])[None, None] == wanted, 0.0, -jnp.inf)

    cell, params, _ = start("rnn", 2)
    prompt = np.array([[3, 0, 0], [1, 1, 5]])
    found = decode.generate(cell, params, prompt, steps=4, lengths=[1, 3], processors=[ascend])
    assert found.tokens.tolist() == [[4, 5, 6, 0], [6, 0, 1, 2]]


def test_their_numbers_are_data():
    """Another penalty, prefix or mask compiles nothing, and they may be traced."""
    cell, params, _ = start("rnn", 3)
    traces = []

    def note(logits, history):
        traces.append(1)
        return logits

    def run(penalty, tokens, mask, least):
        parts = (decode.repetition(penalty), decode.prefix(tokens), decode.allowed(mask), decode.min_length(least, 3))
        return decode.generate(cell, params, prompts(3, 4), steps=4, processors=(note, *parts))

    first = run(1.5, [1, 2], np.ones(V, bool), 2)
    count = len(traces)
    other = run(2.5, [4, 5], np.arange(V) != 0, 3)
    assert len(traces) == count and other.tokens[0, :2].tolist() == [4, 5]
    again = jax.jit(run)(1.5, jnp.array([1, 2]), jnp.ones(V, bool), 2)
    assert again.tokens.tolist() == first.tokens.tolist()
