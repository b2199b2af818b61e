"""A cell as text beside its parameters, made again without running code."""

from pathlib import Path
from typing import Any

from seqjax.core.cell import Cell, check_cell_type
from seqjax.errors import ArgumentError, DataError, SeqjaxError
from seqjax.registry import cell_from_text


def text_of(name: str, cell: Cell) -> str:
    """`repr(cell)`, which makes this cell again or none: one of your own must be given when it is read.

    Raises:
        ArgumentError, ArgumentTypeError: not a cell, or one whose text makes another.
    """
    check_cell_type(name, cell)
    text = repr(cell)
    try:
        again = cell_from_text(text)
    except SeqjaxError:
        return text
    if again != cell:
        raise ArgumentError(f"{name}: {text} is read back as another cell. A class of your own with a name of ours?")
    return text


def cell_of(where: Path, text: Any, given: Cell | None) -> Cell:
    """The cell that was kept; `given` for one that its text cannot make.

    Raises:
        ArgumentError: another one was given.
        DataError: none was kept, or it is one of the user's own and not given.
    """
    if text is None and given is None:
        raise DataError(f"{where} was saved without a cell. Pass it, load(path, cell=...), or Checkpoints(..., cell=)")
    if given is not None:
        same_cell(where, text, given)
        return given
    if not isinstance(text, str) or ".py:" in text:
        raise DataError(f"{where}: the cell {text!r} is no text, or would run a file. Pass it: load(path, cell=...)")
    try:
        return cell_from_text(text)
    except (SeqjaxError, ValueError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{where}: the cell {text!r} cannot be made: {error} One of your own? load(path, cell=...)"
        ) from error


def same_cell(where: Path, text: Any, cell: Cell) -> None:
    """Refuse a cell that is not the one that was kept, if one was.

    Raises:
        ArgumentError: with both.
    """
    if text is not None and text != repr(cell):
        raise ArgumentError(f"cell is {cell!r}, but {where} was saved with {text}")
