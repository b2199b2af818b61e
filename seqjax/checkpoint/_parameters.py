"""The parameters of a cell: where they are in a saved tree, and whether they are that cell's."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from seqjax._internal.types import PyTree
from seqjax.checkpoint._leaves import Leaf, describe
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError, SeqjaxError, closest

Numbered = dict[str, tuple[int, Leaf]]
"""The leaves of parameters by their name in them, with the number of each in the whole tree."""

WHICH = ("returned", "best", "average", "last")
_ABSENT = {
    "best": "no evaluation was made in it (Evaluation)",
    "average": "none was asked for (ema)",
}


def locate_parameters(leaves: Sequence[Leaf], meta: Mapping[str, Any]) -> dict[str, Numbered]:
    """The parameters in a tree as `fit` saves it, or in one of the user's own, under "best", "average" and "last".

    "best" is one only where meta["best"] has a value: before the first evaluation `fit` saves the first parameters.
    """
    said = meta.get("best")
    evaluated = isinstance(said, dict) and said.get("value") is not None
    found = {
        "best": _leaves_below(["best"], leaves) if evaluated else {},
        "average": _leaves_below(["ema"], leaves) or _leaves_below(["state", "ema"], leaves),
        "last": _leaves_below(["params"], leaves) or _leaves_below(["state", "params"], leaves),
    }
    return {name: numbered for name, numbered in found.items() if numbered or name == "last"}  # a cell may have none


def _leaves_below(names: Sequence[str], leaves: Sequence[Leaf]) -> Numbered:
    """The leaves below a key or an attribute of each of these names."""
    place = "".join(rf"(?:\['{name}'\]|\.{name})" for name in names) + r"((?:[\[.].*)?)"
    matches = [re.fullmatch(place, leaf.path, re.DOTALL) for leaf in leaves]
    return {m[1]: (i, leaves[i]._replace(path=m[1])) for i, m in enumerate(matches) if m}


def choose_parameters(where: object, found: Mapping[str, Numbered], which: str, meta: Mapping[str, Any]) -> Numbered:
    """Those that `load(which=...)` names. "returned" are those that `fit` returns: the first of best, average, last.

    Raises:
        ArgumentError: there are none of this name.
    """
    if which not in WHICH:
        raise ArgumentError(f"which is {which!r}, which is not known.{closest(str(which), WHICH)}")
    if which == "returned":
        which = next(iter(found))
    if which not in found:
        said = meta.get("best")
        without = which == "best" and isinstance(said, dict) and said.get("waited")
        reason = "no evaluation in it gave a number (all were NaN)" if without else _ABSENT[which]
        raise ArgumentError(
            f"which={which!r}: {where} holds no such parameters, as {reason}. Found: {', '.join(found)}"
        )
    return found[which]


def make_structure(cell: Cell, in_features: int, found: Mapping[str, Leaf], name: str) -> PyTree:
    """The parameters that `cell.init` makes, as `jax.ShapeDtypeStruct` with the dtypes found.

    Raises:
        ArgumentError: the names and shapes found are others.
    """
    struct = make_shapes(cell, in_features)
    made = {leaf.path: leaf for leaf in describe("params", struct, template=True)}
    for path in sorted(made.keys() | found.keys()):
        if path not in made or path not in found or made[path].shape != found[path].shape:
            raise ArgumentError(
                f"{name} are not those of {cell!r} with in_features={in_features}: {path} is "
                f"{found.get(path, 'missing')}, expected {made.get(path, 'nothing there')}. "
                "Another cell, or another number of features of one input (in_features=)? "
                "A tree without 'params', and without 'state' that has them?"
            )
    dtypes = iter([found[path].dtype for path in made])
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, next(dtypes)), struct)


def make_shapes(cell: Cell, in_features: int) -> PyTree:
    """What `cell.init` makes, without making it.

    Raises:
        ArgumentError: it makes nothing for so many features.
    """
    try:
        return jax.eval_shape(lambda: cell.init(jax.random.key(0), in_features))
    except (SeqjaxError, TypeError, ValueError, ArithmeticError) as error:
        raise ArgumentError(
            f"in_features={in_features}: {cell!r} cannot be made for it: {error}. "
            "Pass in_features=, the number of features of one input (0 where the inputs are tokens)"
        ) from error
