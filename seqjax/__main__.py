"""What there is: cells, layers, modules, ways to combine them, tasks and data sets, with a line on each.

python -m seqjax            all of it
python -m seqjax cells      one of: cells, layers, modules, combinators, tasks, datasets
"""

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from seqjax import cells, combinators, datasets, layers, tasks
from seqjax._internal.pipes import allow_closed_output

Line = tuple[str, str]


def about(value: Any) -> str:
    """The first sentence of a docstring."""
    return " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())


def examples(room: Any) -> Iterator[Line]:
    """The cells of a room, each with one line on its class."""
    return ((repr(cell), about(type(cell))) for cell in room.EXAMPLES)


def modules() -> Iterator[Line]:
    """The modules of Flax that can be cells, as far as Flax is there."""
    if importlib.util.find_spec("flax") is None:
        return
    from seqjax import nn  # here, as it takes a second to load

    for name in nn.__all__:
        module = getattr(nn, name)
        if hasattr(module, "asks") and hasattr(module, "feature_axes"):  # a map of vectors, or a model of sequences
            yield f"as_cell({name}, ...)", about(module)


def tables() -> dict[str, list[Line]]:
    """Name and line of everything, by kind."""
    return {
        "cells": list(examples(cells)),
        "layers": list(examples(layers)),
        "modules": list(modules()),
        "combinators": [
            (f"{name}(...)", about(getattr(combinators, name))) for name in combinators.__all__ if name.islower()
        ],
        "tasks": [(name, about(type(task))) for name, task in tasks.ALL.items()],
        "datasets": [(entry.name, entry.about) for entry in datasets.catalogue.CATALOGUE.values()],
    }


def main(words: list[str]) -> None:
    """Print the tables of these kinds, or all of them."""
    found = tables()
    if set(words) & {"-h", "--help"}:
        print(__doc__)
        return
    if unknown := [word for word in words if word not in found]:
        sys.exit(f"{unknown[0]!r} is none of {', '.join(found)}")
    for kind in words or found:
        width = max(len(name) for name, _ in found[kind])
        print(f"{kind}", *(f"  {name:{width}}  {line}" for name, line in found[kind]), "", sep="\n")


if __name__ == "__main__":
    with allow_closed_output():
        main(sys.argv[1:])
