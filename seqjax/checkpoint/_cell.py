"""A cell as text beside its parameters, made again without running code."""

from pathlib import Path

from seqjax.core.cell import Cell, check_cell_type
from seqjax.errors import ArgumentError, DataError, SeqjaxError
from seqjax.registry import cell_from_text


def check_text(name: str, cell: Cell) -> None:
    """Refuse a cell whose text makes another one; a text that makes none is fine, for cells of the user's own.

    Raises:
        ArgumentError, ArgumentTypeError: not a cell, or one whose text makes another.
    """
    check_cell_type(name, cell)
    text = repr(cell)
    try:
        read = cell_from_text(text)
    except SeqjaxError:
        return
    if read != cell:
        raise ArgumentError(f"{name}: {text} is read back as another cell. A class of your own with a name of ours?")


def make_cell(where: Path, text: object, given: Cell | None) -> Cell:
    """The cell that was saved; `given` for one that its text cannot make.

    Raises:
        ArgumentError: another one was given.
        DataError: none was saved, or it is one of the user's own and not given.
    """
    if given is not None:
        check_same_cell(where, text, given)
        return given
    if text is None:
        raise DataError(f"{where} was saved without a cell. Pass it, load(path, cell=...), or Checkpoints(..., cell=)")
    # With "file.py:" in front a text would run that file: right on a command line, wrong for what is read from a disk.
    if not isinstance(text, str) or ".py:" in text:
        raise DataError(f"{where}: the cell {text!r} is no text, or would run a file. Pass it: load(path, cell=...)")
    try:
        return cell_from_text(text)
    except (SeqjaxError, ValueError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{where}: the cell {text!r} cannot be made: {error} One of your own? load(path, cell=...)"
        ) from error


def check_same_cell(where: Path, text: object, cell: Cell) -> None:
    """Refuse a cell that is not the one that was saved, if one was.

    Raises:
        ArgumentError: with both.
    """
    if text is not None and text != repr(cell):
        raise ArgumentError(f"cell is {cell!r}, but {where} was saved with {text}")
