"""Decoders that attend obey the law of cells."""

import pytest

from seqjax import GRU, LSTM, RNN, Dense, Dropout, Embed, residual, stack
from seqjax.seq2seq import attend, copying
from seqjax.seq2seq.score import SCORES
from seqjax.testing import check_cell
from tests.own_cells import tokens
from tests.seq2seq.makers import memory_for

HYBRID = stack(Embed(5, 3), Dropout(0.3), attend(LSTM(3)), residual(attend(GRU(3), "dot", "after")), Dense(2))
POINTER = copying(stack(Embed(5, 3), attend(RNN(3), "monotonic")), 3, 2)


def test_coverage_after_the_step():
    cell = attend(RNN(3), "coverage", "after")
    check_cell(cell, make_carry=memory_for(cell))


@pytest.mark.slow
@pytest.mark.parametrize("cell", [HYBRID, POINTER], ids=["hybrid", "copying"])
def test_stacks(cell):
    check_cell(cell, make_xs=tokens, make_carry=memory_for(cell, tokens=5))


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["before", "after"])
@pytest.mark.parametrize("score", SCORES)
def test_every_score(score, feed):
    cell = attend(RNN(3), score, feed, start="zeros" if score == "general" else "bridge")
    check_cell(cell, make_carry=memory_for(cell))
