"""Sequences that a model makes itself, token by token."""

from seqjax.decode.alignments import alignments
from seqjax.decode.beam import beam
from seqjax.decode.constrained import constrained
from seqjax.decode.diverse import diverse
from seqjax.decode.generate import generate
from seqjax.decode.generation import Generation
from seqjax.decode.history import History
from seqjax.decode.processors import allowed, min_length, no_repeat, prefix, repetition
from seqjax.decode.sample import sample
from seqjax.decode.scoring import gnmt
from seqjax.decode.stochastic import stochastic
from seqjax.decode.strategy import Choice, Single, Sizes, Strategy, View, Written, greedy
from seqjax.decode.stream import stream
from seqjax.decode.tree import gather_tree

__all__ = [
    "Choice", "Generation", "History", "Single", "Sizes", "Strategy", "View", "Written", "alignments", "allowed",
    "beam", "constrained", "diverse", "gather_tree", "generate", "gnmt", "greedy", "min_length", "no_repeat", "prefix",
    "repetition", "sample", "stochastic", "stream",
]  # fmt: skip
