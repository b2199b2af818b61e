"""A model in a folder: the cell as the call that makes it, its parameters and assets; read back without code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqjax.checkpoint._arrays import read_arrays
from seqjax.checkpoint._assets import read_assets
from seqjax.checkpoint._cell import make_cell
from seqjax.checkpoint._leaves import Leaf, describe
from seqjax.checkpoint._lookup import find_newest, readable_checkpoints
from seqjax.checkpoint._parameters import WHICH, choose_parameters, locate_parameters, make_structure
from seqjax.checkpoint.checkpoints import Checkpoints
from seqjax.core.cell import Cell, Params, check_cell_type
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError


class Model(NamedTuple):
    """What `load` gives.

    cell, params: `seqjax.scan(model.cell, model.params, xs)` runs it.
    in_features: number of features of one input, 0 for tokens.
    assets: by name what was saved beside the parameters, such as a `Vocabulary`.
    meta: the JSON values that were saved with it.

    Examples:
        >>> import jax, seqjax
        >>> from seqjax.checkpoint import load, save_model
        >>> from seqjax.text import Vocabulary
        >>> cell, vocabulary = seqjax.stack(seqjax.Embed(3, 2), seqjax.GRU(4)), Vocabulary.characters("abc")
        >>> save_model("model", cell, cell.init(jax.random.key(0), 0), assets={"vocabulary": vocabulary})
        >>> model = load("model")
        >>> ids = model.assets["vocabulary"].encode("cab")
        >>> seqjax.scan(model.cell, model.params, ids)[1].shape
        (3, 4)
    """

    cell: Cell
    params: Params
    in_features: int
    assets: dict[str, Any]
    meta: dict[str, Any]


def save_model(
    folder: Path | str,
    cell: Cell,
    params: Params,
    *,
    in_features: int = 0,
    assets: Mapping[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
) -> None:
    """Save a cell, its parameters and what belongs to them, for `load`; a model saved there before is replaced.

    Args:
        folder: made if it is not there.
        cell, params: a cell and what its `init` has made, trained or not.
        in_features: number of features of one input, 0 for tokens; as it was given to `cell.init`.
        assets: what the model needs beside its parameters, by name: `Vocabulary`, `Tokenizer`, `Scaler`, JSON values.
        meta: JSON values to go with it.

    Raises:
        ArgumentError, ArgumentTypeError: parameters that `cell.init` does not make, a folder with checkpoints of a
                training, or as `Checkpoints.save`.
        DataError: the folder cannot be written.

    Examples:
        >>> import jax, seqjax
        >>> from seqjax.checkpoint import load, save_model
        >>> cell = seqjax.LSTM(2)
        >>> save_model("model", cell, cell.init(jax.random.key(0), 3), in_features=3, meta={"loss": 0.25})
        >>> load("model").meta
        {'loss': 0.25}
    """
    check_cell_type("save_model", cell)
    # {}, as None would keep those of the model that is replaced.
    assets = {} if assets is None else assets
    checkpoints = Checkpoints(folder, keep=1, cell=cell, in_features=in_features, assets=assets)
    if any(entry.step for entry in readable_checkpoints(checkpoints.path)):
        raise ArgumentError(f"{checkpoints.path} holds checkpoints of a training. Choose another folder for the model")
    checkpoints.save(0, {"params": params}, meta)


def load(folder: Path | str, cell: Cell | None = None, *, which: str = "returned") -> Model:
    """The model from what `save_model`, or `fit` with `Checkpoints(..., cell=cell)`, has written.

    The parameters keep their dtype, and are compared with those of `cell.init`. The cell is parsed and no code is run:
    its text can call the package's cells, combinators and initialisers alone.

    Args:
        folder: the newest checkpoint in it that can be read is taken; or a single checkpoint.
        cell: a cell that the text cannot make, such as one of your own, or that was not saved; it must print as the
            text that was.
        which: of a training, "best" (of the best evaluation), "average" (`ema`), "last", or "returned", those that
            `fit` returned: the best where there was an evaluation, else the average where there is one, else the last.

    Raises:
        ArgumentError, ArgumentTypeError: `cell` is not the one that was saved, or there are no parameters of `which`.
        DataError: nothing there can be read, there is no cell in it, or its text or parameters are not a cell's.

    Examples:
        >>> import jax, seqjax
        >>> from seqjax.checkpoint import load, save_model
        >>> cell = seqjax.stack(seqjax.GRU(4), seqjax.Dense(1))
        >>> save_model("model", cell, cell.init(jax.random.key(0), 3), in_features=3)
        >>> model = load("model")
        >>> model.cell, model.in_features, model.params["1"]["kernel"].shape
        (stack(GRU(4), Dense(1)), 3, (4, 1))
        >>> load("model", which="average")
        Traceback (most recent call last):
            ...
        seqjax.errors.ArgumentError: which='average': ... holds no such parameters, as none was asked for (ema)...
    """
    if isinstance(cell, str):
        name = cell if cell in WHICH else "best"
        raise ArgumentTypeError(f"load: cell must be a cell, found {cell!r}. Which parameters? Write which={name!r}")
    if cell is not None:
        check_cell_type("load", cell)
    where, header = find_newest(Checkpoints(folder).path)
    cell = make_cell(where, header["cell"], cell)
    found = locate_parameters([Leaf(*row) for row in header["leaves"]], header["meta"])
    chosen = choose_parameters(where, found, which, header["meta"])
    try:
        named = {path: leaf for path, (_, leaf) in chosen.items()}
        struct = make_structure(cell, header["in_features"], named, f"{where}: params")
    except ArgumentError as error:
        raise DataError(str(error)) from error
    order = [chosen[leaf.path] for leaf in describe("params", struct, template=True)]
    params = read_arrays(where / "arrays", struct, order)
    return Model(cell, params, header["in_features"], read_assets(where, header["assets"]), header["meta"])
