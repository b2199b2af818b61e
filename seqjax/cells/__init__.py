"""Recurrent cells, one family a file. A new one is a file here and its lines in this list."""

from seqjax.cells.gru import GRU
from seqjax.cells.lru import LRU
from seqjax.cells.lstm import LSTM, LSTMCarry
from seqjax.cells.minimal import MinGRU, MinLSTM
from seqjax.cells.rnn import RNN

__all__ = ["GRU", "LRU", "LSTM", "RNN", "LSTMCarry", "MinGRU", "MinLSTM"]

EXAMPLES = (
    RNN(4),
    RNN(4, activation="relu"),
    LSTM(4),
    GRU(4),
    GRU(4, reset_after=False),
    MinGRU(4),
    MinLSTM(4),
    LRU(4),
)
"""One value of each cell, and of each form that computes otherwise: what the tests check and the documents list."""
