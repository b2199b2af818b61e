"""Sequences that a model makes itself, token by token."""

from seqjax.decode.beam import beam
from seqjax.decode.constrained import constrained
from seqjax.decode.diverse import diverse
from seqjax.decode.generate import generate
from seqjax.decode.generation import Generation
from seqjax.decode.history import History
from seqjax.decode.scoring import gnmt
from seqjax.decode.strategy import Choice, Single, Sizes, Strategy, View, Written, greedy
from seqjax.decode.tree import gather_tree

__all__ = [
    "Choice", "Generation", "History", "Single", "Sizes", "Strategy", "View", "Written", "beam", "constrained",
    "diverse", "gather_tree", "generate", "gnmt", "greedy",
]  # fmt: skip
