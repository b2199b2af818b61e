"""The names under which cells can be spelled, and cells from files of the user's own."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seqjax import cells, combinators, initializers, layers
from seqjax._internal.spelling import parse
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError, ArgumentTypeError

CELLS: dict[str, type[Cell]] = {type(cell).__name__: type(cell) for cell in (*cells.EXAMPLES, *layers.EXAMPLES)}
COMBINATORS = {name: getattr(combinators, name) for name in combinators.__all__ if name.islower()}
INITIALIZERS = {
    name: value
    for name, value in vars(initializers).items()
    if isinstance(value, type) and value.__module__ == initializers.__name__ and name.islower()
}


def cell_from_text(text: str) -> Cell:
    """The cell that `text` spells: what `repr(cell)` prints, or `"my_cells.py:MGU(64)"` for a cell of one's own.

    Nothing but the package's cells, combinators and initialisers (and, with a file, the cells in it) is called.

    Raises:
        ArgumentError: the text spells no cell, or the file cannot be used.
    """
    names: dict[str, Callable[..., Any]] = {**CELLS, **COMBINATORS, **INITIALIZERS}
    path, colon, call = text.partition(".py:")
    if colon:
        module = _load(Path(path + ".py"))
        own = {k: v for k, v in vars(module).items() if isinstance(v, type) and issubclass(v, Cell)}
        names, text = names | own, call
    cell = parse(text, names)
    if not isinstance(cell, Cell):
        raise ArgumentTypeError(f"{text!r} spells {cell!r}, which is not a cell. Write LSTM(64)")
    return cell


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise ArgumentError(f"{str(path)!r}: there is no such file to take a cell from")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
