"""A model in a folder: the cell as the call that makes it, and its parameters; read back without code."""

import re
from pathlib import Path
from typing import Any

import jax

from seqjax.checkpoint import _tree as trees
from seqjax.checkpoint._cell import cell_of
from seqjax.checkpoint._find import find
from seqjax.checkpoint.checkpoints import Checkpoints
from seqjax.core.cell import Cell, Params, check_cell_type
from seqjax.errors import ArgumentError, DataError, SeqjaxError

PLACES = (r"(?:\['params'\]|\.params)", r"(?:\['state'\]|\.state)(?:\['params'\]|\.params)")


def save_model(path: Path | str, cell: Cell, params: Params, meta: dict[str, Any] | None = None) -> None:
    """Keep a cell and its parameters in a folder, for `load`; a model saved there before is replaced.

    The same as `Checkpoints(path, keep=1, cell=cell).save(0, {"params": params}, meta)`.

    Raises:
        ArgumentError, ArgumentTypeError: parameters that `cell.init` does not make, or as `Checkpoints.save`.
        DataError: the folder cannot be written.
    """
    check_cell_type("save_model", cell)
    folder = Checkpoints(path, keep=1, cell=cell)
    _structure(cell, {leaf.path: leaf for leaf in trees.describe("params", params)}, "params")
    folder.save(0, {"params": params}, meta)


def load(path: Path | str, cell: Cell | None = None) -> tuple[Cell, Params, dict[str, Any]]:
    """Cell, parameters and meta from what `save_model` or `Checkpoints(..., cell=cell)` wrote.

    `path` is the folder (the newest that can be read is taken) or a single checkpoint in it. The parameters are those
    at `params` or `state.params` of the tree, keep their dtype, and are compared with those of `cell.init`. The cell
    is parsed and no code is run: its text can call the package's cells, combinators and initialisers alone.

    Args:
        path: the folder.
        cell: a cell that the text cannot make, such as one of your own, or that was not kept; it must print as the
            text that was.

    Raises:
        ArgumentError, ArgumentTypeError: `cell` is not the one that was kept.
        DataError: nothing there can be read, there is no cell in it, or its text or parameters are not a cell's.
    """
    if cell is not None:
        check_cell_type("load", cell)
    where, header = find(Checkpoints(path).path)
    cell = cell_of(where, header["cell"], cell)
    found = _params([trees.Leaf(*row) for row in header["leaves"]])
    try:
        struct = _structure(cell, {name: leaf for name, (_, leaf) in found.items()}, f"{where}: params")
    except ArgumentError as error:
        raise DataError(str(error)) from error
    order = [found[leaf.path] for leaf in trees.describe("params", struct, template=True)]
    return cell, trees.read(where / "arrays", struct, order), header["meta"]


def _params(leaves: list[trees.Leaf]) -> dict[str, tuple[int, trees.Leaf]]:
    """The number and description of each parameter by its name in params."""
    for place in PLACES:
        matches = [re.fullmatch(place + r"((?:[\[.].*)?)", leaf.path, re.DOTALL) for leaf in leaves]
        found = {m[1]: (i, leaves[i]._replace(path=m[1])) for i, m in enumerate(matches) if m}
        if found:
            return found
    return {}


def _structure(cell: Cell, found: dict[str, trees.Leaf], name: str) -> Any:
    """The parameters that `cell.init` makes, with the dtypes found.

    The number of input features is one of the sizes found, as every cell has it in a shape or does not depend on it.

    Raises:
        ArgumentError: no number of input features gives these names and shapes.
    """
    sizes = sorted({0, 1, *(size for leaf in found.values() for size in leaf.shape or ())})
    tried = []
    for size in sizes:
        try:
            struct = jax.eval_shape(lambda: cell.init(jax.random.key(0), size))
        except (SeqjaxError, TypeError, ValueError, ArithmeticError):
            continue
        made = {leaf.path: leaf for leaf in trees.describe("params", struct, template=True)}
        tried.append(made)
        if {p: x.shape for p, x in made.items()} == {p: x.shape for p, x in found.items()}:
            dtypes = iter([found[path].dtype for path in made])
            return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, next(dtypes)), struct)
    raise ArgumentError(f"{name} are not those of {cell!r}: {_difference(tried, found)}. Parameters of another cell?")


def _difference(tried: list[dict[str, trees.Leaf]], found: dict[str, trees.Leaf]) -> str:
    if not tried:
        return "init makes none for any size found in them"

    def odd(made: dict[str, trees.Leaf]) -> list[str]:
        paths = sorted(made.keys() | found.keys())
        return [p for p in paths if p not in made or p not in found or made[p].shape != found[p].shape]

    made = min(tried, key=lambda m: len(odd(m)))
    path = odd(made)[0]
    return f"{path} is {found.get(path, 'missing')}, expected {made.get(path, 'nothing there')}"
