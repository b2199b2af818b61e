"""Sequences that a model makes itself, token by token."""

from seqjax.decode.generate import generate
from seqjax.decode.generation import Generation
from seqjax.decode.history import History
from seqjax.decode.strategy import Choice, Single, Sizes, Strategy, View, Written, greedy

__all__ = ["Choice", "Generation", "History", "Single", "Sizes", "Strategy", "View", "Written", "generate", "greedy"]
