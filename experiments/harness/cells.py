"""Cells from the command line, and their sizes."""

import bisect
import dataclasses
import math
import re
from collections.abc import Callable, Sequence

import jax

import seqjax as sj
from seqjax._internal.types import PyTree


def cells_of(texts: Sequence[str]) -> list[sj.Cell]:
    """The cells that a command line names: ones that read vectors, step by step, without drawing random numbers.

    Raises:
        ArgumentError: another one.
    """
    cells = [sj.cell_from_text(text) for text in texts]
    for cell in cells:
        if not cell.causal:
            raise sj.ArgumentError(f"cell: {cell!r} reads both directions, so it sees what it is to predict")
        if cell.feature_axes != 1 or "key" in cell.asks:
            raise sj.ArgumentError(f"cell: {cell!r} must take vectors and draw no random numbers")
    return cells


def size_of(params: PyTree) -> int:
    """Number of parameters."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def count_parameters(cell: sj.Cell, in_features: int) -> int:
    """Number of parameters that a cell will have."""
    return size_of(jax.eval_shape(lambda: cell.init(jax.random.key(0), in_features)))


def match_parameters(
    cell: sj.Cell, parameters: int, in_features: int, model_of: Callable[[sj.Cell], sj.Cell] = lambda cell: cell
) -> sj.Cell:
    """The cell of the width with which `model_of(cell)` has about so many parameters."""

    def of(features: int) -> sj.Cell:
        return dataclasses.replace(cell, features=features)  # type: ignore[call-arg]

    def size(features: int) -> int:
        return count_parameters(model_of(of(features)), in_features)

    above = bisect.bisect_left(range(1, parameters + 2), parameters, key=size) + 1
    return of(min(above, max(1, above - 1), key=lambda features: abs(size(features) - parameters)))


def match_width(text: str, parameters: int, in_features: int, model_of: Callable[[sj.Cell], sj.Cell]) -> sj.Cell:
    """The cell that a text with widths W means, "stack(LSTM(W), LSTM(W))", with W so that a model has about so many.

    Raises:
        ArgumentError: no W, a text that is no cell, or one of width 1 that is too large.
    """
    if not re.search(r"\bW\b", text):
        raise sj.ArgumentError(f"cell: {text} must have W in place of its widths, such as stack(LSTM(W), LSTM(W))")

    def of(width: int) -> sj.Cell:
        return sj.cell_from_text(re.sub(r"\bW\b", str(width), text))

    def size(width: int) -> int:
        return count_parameters(model_of(of(width)), in_features)

    if size(1) > parameters:
        raise sj.ArgumentError(f"parameters must be at least {size(1)} for {text}, found {parameters}")
    above = bisect.bisect_left(range(1, parameters + 2), parameters, key=size) + 1
    return of(min(above, max(1, above - 1), key=lambda width: abs(size(width) - parameters)))
