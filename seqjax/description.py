"""What a model is made of: layers, shapes, counts, bytes, and the paths that it takes."""

import html
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Params, PyTree, Shape
from seqjax.combinators import Stack
from seqjax.core.cell import Cell
from seqjax.core.layout import find_layout
from seqjax.core.scan import explain
from seqjax.core.trace import trace
from seqjax.errors import ArgumentTypeError

HEADS = ("layer", "cell", "shapes", "output", "parameters", "bytes")


class Layer(NamedTuple):
    """A part of a model. path: its place, as in parameters and traces. shapes: of parameters, by path.

    output: of one step, without batch and time; None where it is not known. parameters: how many. size: their bytes.
    """

    path: str
    cell: str
    shapes: dict[str, Shape]
    output: Shape | None
    parameters: int
    size: int


class Description(NamedTuple):
    """What `describe` finds; it prints as a table, and Jupyter shows it as one.

    layers: from the first to the last. paths: lines of `seqjax.explain`, none where no inputs were given.
    """

    layers: tuple[Layer, ...]
    paths: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many there are in all."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def size(self) -> int:
        """Bytes of all parameters."""
        return sum(layer.size for layer in self.layers)

    def _rows(self) -> list[tuple[str, ...]]:
        """The table as words, the sum in the last row."""
        found = [
            (
                layer.path,
                layer.cell,
                ", ".join(f"{path} {_product(shape)}" for path, shape in layer.shapes.items()),
                "" if layer.output is None else _product(layer.output),
                f"{layer.parameters:,}",
                f"{layer.size:,}",
            )
            for layer in self.layers
        ]
        return [*found, ("", "in all", "", "", f"{self.parameters:,}", f"{self.size:,}")]

    def __repr__(self) -> str:
        rows = [HEADS, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
        line = lambda row: "  ".join(
            word.rjust(width) if i > 3 else word.ljust(width) for i, (word, width) in enumerate(zip(row, widths))
        ).rstrip()
        return "\n".join([*map(line, rows), *(["", *self.paths] if self.paths else [])])

    def _repr_html_(self) -> str:
        cells = lambda tag, row: "".join(
            f'<{tag} style="text-align:{"right" if i > 3 else "left"}">{html.escape(word)}</{tag}>'
            for i, word in enumerate(row)
        )
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self._rows())
        paths = "".join(f"<li>{html.escape(line)}</li>" for line in self.paths)
        return f"<table><tr>{cells('th', HEADS)}</tr>{body}</table>" + (f"<ul>{paths}</ul>" if paths else "")


def describe(cell: Cell, params: Params, xs: PyTree = None) -> Description:
    """A table of a model's layers: parameters and their shapes, outputs, counts and bytes; and the paths it takes.

    The parts of stacks, and of stacks within them, have a row each; any other cell is one row with all that it has.
    Nothing is computed.

    Args:
        cell: any cell.
        params: its parameters, or their shapes and dtypes, as of `jax.eval_shape`.
        xs: inputs as for `scan`, or their shape and dtype; with them there are the outputs' shapes, and which path each
            part takes (`seqjax.explain`).

    Raises:
        ArgumentTypeError: no cell; with xs what `scan` refuses.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> model = sj.stack(sj.Embed(256, 8), sj.RNN(16))
        >>> params = model.init(jax.random.key(0), 1)
        >>> sj.describe(model, params, jnp.zeros((4, 100), int))
        layer  cell           shapes                             output  parameters   bytes
        0      Embed(256, 8)  table 256×8                        8            2,048   8,192
        1      RNN(16)        mix/kernel 16×16, ...
               in all                                            ...
        <BLANKLINE>
        Embed(256, 8): all steps at once
        RNN(16): loop over time, deferred gradient in chunks of 100
    """
    if not isinstance(cell, Cell):
        raise ArgumentTypeError(f"describe: cell must be a seqjax.Cell, found {type(cell).__name__}")
    outputs, lines = ({}, "") if xs is None else _run(cell, params, xs)
    layers = [_layer(path, part, own, outputs) for path, part, own in _parts("", cell, params)]
    return Description(tuple(layers), tuple(lines.splitlines()))


def _parts(path: str, cell: Cell, params: Params) -> Iterator[tuple[str, Cell, Params]]:
    """Layers with their paths and parameters, stacks taken apart."""
    if not isinstance(cell, Stack):
        yield path, cell, params
        return
    for name, part in cell.parts.items():
        yield from _parts(f"{path}/{name}".lstrip("/"), part, params[name])


def _layer(path: str, cell: Cell, params: Params, outputs: dict[str, Shape]) -> Layer:
    leaves = {
        jax.tree_util.keystr(key, simple=True, separator="/"): leaf
        for key, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    counts = [(math.prod(leaf.shape), jnp.dtype(leaf.dtype).itemsize) for leaf in leaves.values()]
    shapes = {name: tuple(leaf.shape) for name, leaf in leaves.items()}
    size = sum(count * each for count, each in counts)
    output = outputs.get(f"{path}/y".lstrip("/"))
    return Layer(path, repr(cell), shapes, output, sum(count for count, _ in counts), size)


def _run(cell: Cell, params: Params, xs: PyTree) -> tuple[dict[str, Shape], str]:
    """Shapes of outputs of one step by path, and the lines of `explain`."""
    seen = jax.eval_shape(lambda params, xs: trace(cell, params, xs)[2], params, xs)
    axes = len(find_layout(cell, xs, False).leading)
    return {path: value.shape[axes:] for path, value in seen.items()}, explain(cell, params, xs)


def _product(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "1"
