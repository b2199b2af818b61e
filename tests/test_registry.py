"""Cells from text."""

import pytest

import seqjax as sj


def test_a_cell_from_text_is_the_cell_that_prints_it():
    for text in ("LSTM(64)", "stack(RNN(32), bidirectional(GRU(8), merge='sum'), Norm(kind='rms'))",
                 "RNN(4, activation='relu', recurrent_init=identity(scale=0.5))"):  # fmt: skip
        assert repr(sj.cell_from_text(text)) == text


def test_flax_modules_are_spelled_as_they_print():
    for text in ("stack(GRU(8), as_cell(TransformerBlock, 8, 2, positions='rotary', window=3), Dense(2))",
                 "as_cell(MultiHeadAttention, IN_FEATURES, 2)", "as_cell(Evaluation(nnx.Dropout), 0.5)",
                 "stack(as_cell(nnx.GRUCell, IN_FEATURES, 3), as_cell(linen.Dense, 4, use_bias=False))"):  # fmt: skip
        cell = sj.cell_from_text(text)
        assert sj.cell_from_text(repr(cell)) == cell
    styled = sj.interop.as_cell(sj.nn.TransformerBlock, 8, 2, style=sj.nn.LLAMA)
    assert (
        sj.cell_from_text(repr(styled)) == sj.cell_from_text("as_cell(TransformerBlock, 8, 2, style=LLAMA)") == styled
    )
    with pytest.raises(sj.ArgumentError, match="'Transformer' is neither a literal nor a call"):
        sj.cell_from_text("as_cell(Transformer, 8, 2)")
