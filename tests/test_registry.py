"""Cells from text."""

import seqjax as sj


def test_a_cell_from_text_is_the_cell_that_prints_it():
    for text in ("LSTM(64)", "stack(RNN(32), bidirectional(GRU(8), merge='sum'), Norm(kind='rms'))",
                 "RNN(4, activation='relu', recurrent_init=identity(scale=0.5))"):  # fmt: skip
        assert repr(sj.cell_from_text(text)) == text
