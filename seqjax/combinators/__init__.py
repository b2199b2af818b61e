"""Cells made of cells: one after another, in both directions, with a path around, many times over."""

from seqjax.combinators.bidirectional import Bidirectional, bidirectional
from seqjax.combinators.repeat import Repeat, repeat
from seqjax.combinators.residual import Residual, residual
from seqjax.combinators.stack import Stack, stack

__all__ = ["Bidirectional", "Repeat", "Residual", "Stack", "bidirectional", "repeat", "residual", "stack"]
