"""Layers without weights of their own over time. A new one is a file here and its lines in this list."""

from seqjax.layers.dense import Dense
from seqjax.layers.dropout import Dropout
from seqjax.layers.embed import Embed
from seqjax.layers.mean_pool import MeanPool, MeanPoolCarry
from seqjax.layers.norm import Norm
from seqjax.layers.pointwise import Pointwise

__all__ = ["Dense", "Dropout", "Embed", "MeanPool", "MeanPoolCarry", "Norm", "Pointwise"]

EXAMPLES = (
    Dense(4),
    Dense(4, activation="tanh"),
    Embed(5, 4),
    Norm(),
    Norm("rms"),
    Dropout(0.5),
    Dropout(0.5, per="sequence"),
    MeanPool(),
)
"""One value of each layer, and of each form that computes otherwise: what the tests check and the documents list."""
