"""`explain` tells what runs."""

import jax
import jax.numpy as jnp
import pytest

from seqjax import GRU, LSTM, ArgumentError, Dense, Embed, MinGRU, bidirectional, explain, stack
from tests.own_cells import TreeCell, mixed_tree


def test_explain_tells_what_runs():
    cell = stack(Embed(5, 3), LSTM(4), bidirectional(GRU(2, reset_after=False)), Dense(2))
    params = cell.init(jax.random.key(0), 0)
    tokens = jnp.zeros((2, 640), jnp.int32)
    text = explain(cell, params, tokens)
    assert "Embed(5, 3): all steps at once" in text
    assert "LSTM(4): loop over time, deferred gradient in chunks of 128" in text
    assert "GRU(2, reset_after=False): loop over time, deferred gradient" in text
    text = explain(cell, params, tokens, gradient="autodiff", checkpoint="sqrt")
    assert "LSTM(4): loop over time, autodiff gradient (asked for)" in text
    assert "LSTM(4): recomputed in the backward pass from a carry kept every 25 steps" in text
    assert "GRU(2, reset_after=False): recomputed" in text  # as each part says it of itself
    text = explain(TreeCell(2), TreeCell(2).init(jax.random.key(0), 2), mixed_tree(jax.random.key(1), (2, 3)))
    assert "not floating point" in text


def test_chunks_of_a_linear_recurrence_are_those_of_its_segments():
    cell = MinGRU(2)
    text = explain(cell, cell.init(jax.random.key(0), 2), jnp.zeros((2, 9, 2)), checkpoint=3)
    assert "in chunks of 3 (" in text and "in chunks of 9" not in text


def test_wrong_options_are_said_as_by_scan():
    cell = MinGRU(2)
    with pytest.raises(ArgumentError, match="'chekpoint' is no option of scan"):
        explain(cell, {}, jnp.zeros((2, 9, 2)), chekpoint=3)
