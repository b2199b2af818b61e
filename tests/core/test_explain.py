"""`explain` tells what runs."""

import jax
import jax.numpy as jnp

from seqjax import GRU, LSTM, Dense, Embed, bidirectional, explain, stack
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
    assert "kept every 25 steps" in text
    text = explain(TreeCell(2), TreeCell(2).init(jax.random.key(0), 2), mixed_tree(jax.random.key(1), (2, 3)))
    assert "not floating point" in text
