"""The names under which cells can be spelled, and cells from files of the user's own."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from seqjax import cells, combinators, initializers, layers
from seqjax._internal.spelling import parse
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError, ArgumentTypeError

CELLS: dict[str, type[Cell]] = {type(cell).__name__: type(cell) for cell in (*cells.EXAMPLES, *layers.EXAMPLES)}
COMBINATORS: dict[str, Callable[..., Cell]] = {
    name: getattr(combinators, name) for name in combinators.__all__ if name.islower()
}
INITIALIZERS: dict[str, type] = {
    name: value
    for name, value in vars(initializers).items()
    if isinstance(value, type) and value.__module__ == initializers.__name__ and name.islower()
}


def cell_from_text(text: str) -> Cell:
    r"""The cell that `text` spells: what `repr(cell)` prints, or `"my_cells.py:MGU(64)"` for a cell of one's own.

    Nothing but the package's cells, combinators and initialisers (and, with a file, the cells in it) is called.

    Raises:
        ArgumentError: the text spells no cell, or the file cannot be used.

    Examples:
        >>> import seqjax
        >>> model = seqjax.cell_from_text("stack(Embed(256, 64), LSTM(128), Dense(256))")
        >>> model == seqjax.stack(seqjax.Embed(256, 64), seqjax.LSTM(128), seqjax.Dense(256))
        True
        >>> seqjax.cell_from_text("LSTN(128)")
        Traceback (most recent call last):
            ...
        seqjax.errors.ArgumentError: 'LSTN(128)': 'LSTN' is not known. Perhaps you meant 'LSTM'? Known: ...

        Modules of `seqjax.nn` and of Flax, which is loaded for them:

        >>> seqjax.cell_from_text("stack(GRU(32), as_cell(TransformerBlock, 32, 4), as_cell(nnx.Linear, 32, 4))")
        stack(GRU(32), as_cell(TransformerBlock, 32, 4), as_cell(nnx.Linear, 32, 4))

        A translator, of `seqjax.seq2seq`:

        >>> seqjax.cell_from_text("EncoderDecoder(GRU(8), stack(Embed(50, 8), attend(GRU(8), score='dot')), begin=1)")
        EncoderDecoder(GRU(8), stack(Embed(50, 8), attend(GRU(8), score='dot')), begin=1)

        A cell of one's own, in a file:

        >>> from pathlib import Path
        >>> _ = Path("my_cells.py").write_text("import seqjax\nclass Wide(seqjax.RNN): pass")
        >>> seqjax.cell_from_text("my_cells.py:Wide(512)")
        Wide(512)
    """
    names: dict[str, Callable[..., object]] = {**CELLS, **COMBINATORS, **INITIALIZERS, **_decoders()}
    path, colon, call = text.partition(".py:")
    if colon:
        module = _load_module(Path(path + ".py"))
        own = {k: v for k, v in vars(module).items() if isinstance(v, type) and issubclass(v, Cell)}
        names, text = names | own, call
    constants: dict[str, object] = {}
    if "as_cell(" in text:
        makers, constants = _flax_names()
        names |= makers
    cell = parse(text, names, constants)
    if not isinstance(cell, Cell):
        raise ArgumentTypeError(f"{text!r} spells {cell!r}, which is not a cell. Write LSTM(64)")
    return cell


def _decoders() -> dict[str, Callable[..., object]]:
    """What makes decoders, loaded when a cell is read and not before."""
    from seqjax import seq2seq

    return {"attend": seq2seq.attend, "copying": seq2seq.copying, "EncoderDecoder": seq2seq.EncoderDecoder}


def _flax_names() -> tuple[dict[str, Callable[..., object]], dict[str, object]]:
    """What is called, and what stands without a call, in the spelling of a Flax module as a cell."""
    from seqjax import interop, nn

    called: dict[str, Callable[..., object]] = {
        "as_cell": interop.as_cell,
        "Evaluation": interop.Evaluation,
        "Style": nn.Style,
        "dtype": np.dtype,
    }
    own = {name: getattr(nn, name) for name in nn.__all__}
    return called, {**interop.known_values(), **own, **interop.flax_modules(), "IN_FEATURES": interop.IN_FEATURES}


def _load_module(path: Path) -> ModuleType:
    if not path.is_file():
        raise ArgumentError(f"{str(path)!r}: there is no such file to take a cell from")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
