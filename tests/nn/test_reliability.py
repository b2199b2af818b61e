"""Wherever the tokens of a sequence stand in a row, and whatever else the row holds: the logits of the sequence alone.

Rows are drawn: several sequences one after another, their tokens at any places (so padding on the left, on the right
and in gaps), any ids at the places between. Differences are measured against the largest logit.
"""

from functools import cache
from typing import NamedTuple

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from seqjax.nn import EncoderDecoder, TransformerDecoder, TransformerEncoder

B, T, V = 3, 9, 13
LENGTHS = (2, 5)  # a sequence alone is compiled for each
KINDS = ("learned", "sinusoidal", "rotary", "alibi", "relative", None)
SIZES = {"features": 8, "heads": 2, "layers": 2, "capacity": T}
few = settings(max_examples=12)


class Rows(NamedTuple):
    """Tokens, which are real, and before which a sequence begins: `[B, T]`; and each sequence as (row, places)."""

    tokens: np.ndarray
    mask: np.ndarray
    resets: np.ndarray
    sequences: list


def lay(rows, seed):
    """Sequences of these lengths for each row, at random places."""
    rng = np.random.default_rng(seed)
    tokens, mask = rng.integers(0, V, (B, T)), np.zeros((B, T), bool)
    resets, sequences = rng.random((B, T)) < 0.3, []  # a reset where no token is real says nothing
    for row, lengths in enumerate(rows):
        places = np.sort(rng.choice(T, sum(lengths), replace=False))
        mask[row, places] = True
        for part in np.split(places, np.cumsum(lengths)[:-1]):
            sequences.append((row, part))
            resets[row, part] = np.arange(len(part)) == 0
    return Rows(tokens.astype(np.int32), mask, resets, sequences)


LENGTHS_OF_A_ROW = st.lists(st.sampled_from(LENGTHS), min_size=1, max_size=4).filter(lambda row: sum(row) <= T)
ROWS = st.builds(lay, st.lists(LENGTHS_OF_A_ROW, min_size=B, max_size=B), st.integers(0, 2**32 - 1))
ONE_EACH = st.builds(
    lay, st.lists(st.sampled_from(LENGTHS).map(lambda n: [n]), min_size=B, max_size=B), st.integers(0, 2**32 - 1)
)


@cache
def model(make, kind):
    """With parameters so large that positions and masks matter."""
    module = make(V, **SIZES, positions=kind, rngs=nnx.Rngs(0))
    keys = iter(jax.random.split(jax.random.key(1), 100))
    return jax.tree.map(lambda p: p + 0.3 * jax.random.normal(next(keys), p.shape), module)


def close(found, wanted):
    assert np.abs(np.asarray(found) - np.asarray(wanted)).max() <= 2e-5 * np.abs(wanted).max()


run = jax.jit(lambda module, tokens, *flags: module(tokens, **dict(zip(("mask", "resets"), flags))))
step = jax.jit(lambda module, carry, token, mask, resets: module.extend(carry, token, mask=mask, resets=resets))


@pytest.mark.parametrize("make", [TransformerDecoder, TransformerEncoder])
@pytest.mark.parametrize("kind", KINDS)
@few
@given(rows=ROWS)
def test_sequences_in_rows(make, kind, rows):
    module = model(make, kind)
    ys = np.asarray(run(module, rows.tokens, rows.mask, rows.resets))
    for row, places in rows.sequences:
        close(ys[row, places], run(module, rows.tokens[row, places]))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(rows=ROWS)
def test_decoding_of_rows(kind, rows):
    """Token by token from a cache, each row at its own place: what the whole gives."""
    module = model(TransformerDecoder, kind)
    carry, ys = module.initial_carry((B,)), []
    for t in range(T):
        carry, y = step(module, carry, *(array[:, t : t + 1] for array in rows[:3]))
        ys.append(y)
    whole = np.asarray(run(module, rows.tokens, rows.mask, rows.resets))
    close(np.concatenate(ys, axis=1)[rows.mask], whole[rows.mask])


@jax.jit
def translate(module, source, target, source_mask=None, mask=None, resets=None):
    return module(source, target, source_mask=source_mask, mask=mask, resets=resets)


@pytest.mark.parametrize("kind", ["learned", "rotary", "relative"])
@few
@given(sources=ONE_EACH, rows=ROWS)
def test_sources_and_targets(kind, sources, rows):
    """Several targets of a row read the same source."""
    module = model(EncoderDecoder, kind)
    ys = np.asarray(translate(module, sources.tokens, rows.tokens, sources.mask, rows.mask, rows.resets))
    read = {row: sources.tokens[row, places] for row, places in sources.sequences}
    for row, places in rows.sequences:
        close(ys[row, places], translate(module, read[row], rows.tokens[row, places]))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(rows=ROWS)
def test_what_stands_between_is_not_seen(kind, rows):
    """Other ids where no token is real: the same bits."""
    module = model(TransformerDecoder, kind)
    others = np.where(rows.mask, rows.tokens, (rows.tokens + 1) % V)
    assert np.array_equal(
        *(np.asarray(run(module, tokens, rows.mask, rows.resets))[rows.mask] for tokens in (rows.tokens, others))
    )
