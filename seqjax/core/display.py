"""A cell in Jupyter: itself, and the cells within it, as a list that can be folded."""

import dataclasses
import html
from typing import Any


def cell_html(cell: Any, kind: type, path: str = "") -> str:
    """HTML of a cell: its call, the features that it gives and its gates; of a compound one what is within it too.

    kind: the class of cells. path: the place of this one in parameters and traces. The first line of the docstring is
    the tooltip.
    """
    label = f"<b>{html.escape(path)}</b> " if path else ""
    title = html.escape((type(cell).__doc__ or "").strip().split("\n")[0])
    parts = _parts(cell, kind)
    if not parts:
        return f'<div title="{title}">{label}<code>{html.escape(repr(cell))}</code>{_facts(cell)}</div>'
    call = html.escape(_call(cell, kind))
    inner = "".join(cell_html(part, kind, name) for name, part in parts.items())
    return (
        f'<details open=""><summary title="{title}">{label}<code>{call}</code>{_facts(cell)}</summary>'
        f'<div style="margin-left:1.5em">{inner}</div></details>'
    )


def _parts(cell: Any, kind: type) -> dict[str, Any]:
    """The cells within by name; the only one of a wrapper has none, as its place is that of the wrapper."""
    if hasattr(cell, "parts"):
        return cell.parts
    values = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
    cells = {name: value for name, value in values.items() if isinstance(value, kind)}
    return dict(zip([""], cells.values())) if len(cells) == 1 else cells


def _call(cell: Any, kind: type) -> str:
    """The call that makes a compound cell, with dots for what is within: `repeat(..., layers=3)`."""
    options = {field.name: (getattr(cell, field.name), field.default) for field in dataclasses.fields(cell)}
    own = [
        f"{name}={value!r}"
        for name, (value, default) in options.items()
        if name != "names" and value != default and not _holds(value, kind)
    ]
    return f"{repr(cell).split('(')[0]}({', '.join(['...', *own])})"


def _holds(value: object, kind: type) -> bool:
    return isinstance(value, kind) or (isinstance(value, tuple) and any(isinstance(item, kind) for item in value))


def _facts(cell: Any) -> str:
    """How many features come out, where that is known, and the gates."""
    try:
        features = cell.out_features
    except TypeError:  # a cell that is being written has none yet, and is to be seen all the same
        features = None
    gates = getattr(cell, "gates", ())
    words = [] if features is None else [f"{features} feature{'s' * (features != 1)}"]
    words += [f"gates {', '.join(gates)}"] * (len(gates) > 1)
    return "".join(f" · {word}" for word in words)
