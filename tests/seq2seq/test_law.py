"""Decoders that attend obey the law of cells."""

import pytest

from seqjax import GRU, LSTM, RNN, Dense, Dropout, Embed, residual, stack
from seqjax.seq2seq import attend
from seqjax.testing import check_cell
from tests.own_cells import tokens
from tests.seq2seq.makers import memory_for

HYBRID = stack(Embed(5, 3), Dropout(0.3), attend(LSTM(3)), residual(attend(GRU(3), "dot", "after")), Dense(2))


def test_a_hybrid_stack():
    check_cell(HYBRID, make_xs=tokens, make_carry=memory_for(HYBRID))


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(attend(RNN(3)), id="additive before"),
        pytest.param(attend(RNN(3), "coverage", "after"), id="coverage after"),
    ],
)
def test_one_cell(cell):
    check_cell(cell, make_carry=memory_for(cell))
