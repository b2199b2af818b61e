"""Every score obeys the law of cells, before and after the step; stacks of them stand in `tests/table.py`."""

import pytest

from seqjax import RNN
from seqjax.seq2seq import attend
from seqjax.seq2seq.score import SCORES
from seqjax.testing import check_cell
from tests.seq2seq.makers import masked_memory_for

FEW = [("additive", "before")]


@pytest.mark.parametrize(
    ("score", "feed"),
    [
        pytest.param(score, feed, marks=[] if (score, feed) in FEW else pytest.mark.slow)
        for score in SCORES
        for feed in ("before", "after")
    ],
)
def test_every_score(score, feed):
    cell = attend(RNN(3), score, feed, start="zeros" if score == "general" else "bridge")
    check_cell(cell, make_carry=masked_memory_for(cell))
