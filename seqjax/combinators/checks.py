"""What combinators ask of the cells that they are made of."""

from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError


def check_vectors(name: str, cell: Cell, why: str) -> None:
    """Refuse a cell whose inputs are not vectors, as token ids are not."""
    if cell.feature_axes != 1:
        raise ArgumentError(f"{name}: {cell!r} {why}")


def check_same_width(outer: Cell, cell: Cell, in_features: int) -> None:
    """Refuse a cell that must give as many features as it gets, and does not.

    Raises:
        ArgumentError: so it is.
    """
    size = cell.size(in_features)
    if size != in_features:
        raise ArgumentError(
            f"{outer!r}: the cell gives {size} features but gets {in_features}, and both must be equal here"
        )


def returns_pair(cell: Cell) -> bool:
    """Whether the output is a pair rather than an array, as of `bidirectional(..., merge="pair")`."""
    cells = getattr(cell, "cells", None)
    inner = cells[-1] if isinstance(cells, tuple) else getattr(cell, "cell", None)
    return getattr(cell, "merge", None) == "pair" or (inner is not None and returns_pair(inner))
