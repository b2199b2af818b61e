"""The gradient of the last step's loss in every layer of a mixed model, step by step, before and after training.

A row is one value of one layer in one phase: its states ("1/c"), and the output ("1/y") that the layers above read.
In a state comes together what its own later steps and the layers above ask; in an output only what those above ask.
"""

import math
import re
import textwrap
from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import optax

import seqjax as sj
from experiments.gradients.flows import Training, Windows, fit, flow, fresh_params, last_target, model_of, powers, width
from experiments.gradients.sources import Source
from experiments.harness.run import Row, Rows
from seqjax import plot
from seqjax.combinators import Bidirectional, Repeat, Stack
from seqjax.core.start import start_carry
from seqjax.core.wrapper import Wrapper
from seqjax.diagnostics import GradientFlow, half_life, log_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH = 100
OUTPUTS = ("y", "sum")
PHASES = ("before", "after")
KEPT = ("model", "path", "layer", "read", "is_state", "phase", "steps", "loss_nats", "half_life_steps")


def check_layered(text: str, source: Source) -> None:
    """Refuse a model whose layers cannot be measured.

    Raises:
        ArgumentError: no cell, no vectors as input, random numbers, no state, or parts that do not fit together.
    """
    try:
        cell = sj.cell_from_text(text)
        if cell.feature_axes != 1 or cell.asks & {"key", "memory"}:
            raise sj.ArgumentError(f"{cell!r} must take vectors, and need neither random numbers nor a memory")
        model = model_of(cell, source)
        params = jax.eval_shape(lambda: model.init(jax.random.key(0), width(source)))
        own = params[str(len(model.cells) - 2)]
        features = width(source) or model.cells[0].out_features
        if not jax.tree.leaves(jax.eval_shape(lambda p: start_carry(cell, p, (1,), in_features=features), own)):
            raise sj.ArgumentError(f"{cell!r} has no state, so no gradient flows from step to step")
    except sj.ArgumentError as error:
        raise sj.ArgumentError(f"layered: {error}") from error


def study_layers(cell: sj.Cell, source: Source, training: Training, folder: Path) -> Rows:
    """Rows of all layers, before and after a short training, on one batch of windows."""
    length = min(LENGTH, source.longest)
    xs, targets = source.windows(np.random.default_rng((training.seed, length)), training.batch_size, length)
    model = model_of(cell, source)
    params = fresh_params(model, source, training.seed)
    after = fit(model, params, Windows(source, training), optax.adam(training.learning_rate)).params
    head = {"group": "layers", "model": repr(cell), "steps": length}
    rows = []
    for phase, values in zip(PHASES, (params, after)):
        result = flow(model, values, xs, last_target(targets))
        now = head | {"phase": phase, "loss_nats": float(np.mean(result.loss))}
        rows.append([now | row for row in measure(cell, result)])
    return [row for pair in zip(*rows) for row in pair]


def measure(cell: sj.Cell, result: GradientFlow) -> Iterator[Row]:
    """A row for each state and output, from the first layer to the last: log10 norms by step t = 1 ... T.

    The half-life is over the distance T - t from the loss. A part that is read backwards has none: its gradient runs
    from early steps to late ones, towards the loss, so that the slope over the distance is that of what arrives from
    other layers and not of its own recurrence.
    """
    states = {state_path(name, result.layers) for name in result.parts}
    owners = list(parts(cell))
    for prefix, name, reverse in owners:
        own = [path for path in result.layers if owner(path, owners) == prefix]
        outputs = [path for word in OUTPUTS for path in own if path[len(prefix) :].split("/")[0] == word]
        for path in [*sorted(states.intersection(own)), *outputs]:
            logs = log_mean(result.layers[path])
            half = math.nan if reverse else half_life(logs[::-1])
            row: Row = {"path": path, "layer": name, "read": "backwards" if reverse else "forwards"}
            row |= {"is_state": path in states, "half_life_steps": half if math.isfinite(half) else None}
            yield row | {"log10_norms": powers(logs)}


def parts(cell: sj.Cell, prefix: str = "", reverse: bool = False) -> Iterator[tuple[str, str, bool]]:
    """All parts in order, those inside before the whole: (prefix of its paths, cell, whether it is read backwards)."""
    if isinstance(cell, Stack):
        for name, part in cell.parts.items():
            yield from parts(part, f"{prefix}{name}/", reverse)
    elif isinstance(cell, Repeat):
        for i in range(cell.layers):
            yield from parts(cell.cell, f"{prefix}layer/{i}/", reverse)
    elif isinstance(cell, Bidirectional):
        yield from parts(cell.cell, f"{prefix}forward/", reverse)
        yield from parts(cell.cell, f"{prefix}backward/", not reverse)
    elif isinstance(cell, Wrapper):
        yield from parts(cell.cell, prefix, reverse)
        return
    yield prefix, repr(cell), reverse


def owner(path: str, owners: list[tuple[str, str, bool]]) -> str:
    """The prefix of the part that a path belongs to: the longest."""
    return max((prefix for prefix, _, _ in owners if path.startswith(prefix)), key=len, default="")


def state_path(part: str, paths: Container[str]) -> str:
    """The path under which a trace sees a part of the carry: "[1].c" is "1/c", and a lone state "[2]" is "2/h"."""
    path = "/".join(re.findall(r"[^\[\]'.]+", part))
    return path if path in paths else f"{path}/h".lstrip("/")


def layer_rows(rows: Rows) -> Rows:
    """Numbers of the summary: the half-life in steps, and log10 norms at the last step, half way and the first.

    None is a half-life that there is not, or a norm of exactly zero.
    """
    return [{key: row[key] for key in KEPT} | ends(row["log10_norms"]) for row in rows]


def ends(logs: list[float | None]) -> dict[str, float | None]:
    """Log10 norms `[T]` where a table shows them."""
    places = {"last_step": -1, "half": len(logs) // 2, "first_step": 0}
    return {f"log10_norm_at_{name}": logs[place] for name, place in places.items()}


def layer_table(summary: Rows) -> list[list[str]]:
    """The rows of the summary as words."""
    lines = [["gradient in", "layer", "training", "half-life in steps", "log10 at the last step", "half way", "first"]]
    for row in summary:
        half = "-" if row["half_life_steps"] is None else f"{row['half_life_steps']:.1f}"
        norms = [row[f"log10_norm_at_{name}"] for name in ("last_step", "half", "first_step")]
        words = ["zero" if norm is None else f"{norm:.2f}" for norm in norms]
        lines.append([row["path"], row["layer"], row["phase"], half, *words])
    return lines


def layer_reading(summary: Rows) -> str:
    """The table in plain words, made from its numbers."""
    states = [row for row in summary if row["is_state"]]
    falls = sorted((row for row in states if row["phase"] == "after"), key=fall)
    least, most = (f"in {row['path']} ({row['layer']}) it {fall_in_words(row)}" for row in (falls[0], falls[-1]))
    sentences = [
        f"The loss is that of the last of {summary[0]['steps']} steps, and half-lives are over the distance from it.",
        f"What becomes of the norm from the last step to the first, after training: {least}"
        + (f", the least of {len(falls)} states; {most}, the most." if len(falls) > 1 else "."),
        *change_in_words(states),
    ]
    return "\n".join(textwrap.fill(sentence, 118) for sentence in sentences)


def fall(row: Row) -> float:
    """Powers of ten by which a norm falls from the last step to the first; infinite where it ends at zero."""
    last, first = row["log10_norm_at_last_step"], row["log10_norm_at_first_step"]
    return math.inf if first is None else -math.inf if last is None else last - first


def fall_in_words(row: Row) -> str:
    """What becomes of the norm on its way back."""
    by = fall(row)
    if math.isinf(by):
        return "falls to exactly zero" if by > 0 else "grows from exactly zero"
    return f"{'falls' if by >= 0 else 'grows'} by {abs(by):.1f} powers of ten"


def change_in_words(states: Rows) -> list[str]:
    """What the training did to half-lives; a norm that grows (a negative one) reaches further than one that falls."""
    before, after = ({row["path"]: row["half_life_steps"] for row in states if row["phase"] == p} for p in PHASES)
    both = [path for path in before if None not in (before[path], after[path])]
    groups = {
        "longer": [path for path in both if 1 / after[path] < 1 / before[path]],
        "shorter": [path for path in both if 1 / after[path] > 1 / before[path]],
    }
    words = []
    for name, paths in groups.items():
        if paths:
            each = ", ".join(f"{path} {before[path]:.1f} to {after[path]:.1f}" for path in paths)
            words.append(f"{name} in {len(paths)} of {len(both)} states ({each} steps)")
    return [f"Training made the half-life {', '.join(words)}."] if words else []


def layer_figures(rows: Rows, data: str) -> dict[str, "Figure"]:
    """The figure of all layers, before and after; none without rows."""
    if not rows:
        return {}
    panels: dict[str, dict[str, list[float | None]]] = {}
    for row in rows:
        panels.setdefault(f"{row['phase']} training", {})[label(row)] = row["log10_norms"]
    lines = [label(row) for row in rows if row["is_state"]]
    title = f"Gradient of the last step's loss in every layer, {rows[0]['steps']} steps of {data}"
    return {"layers": plot.layer_norms(panels, lines, title)}


def label(row: Row) -> str:
    """Path and cell, cut where that is long."""
    layer = row["layer"]
    return f"{row['path']}  {layer if len(layer) <= 28 else layer[:27] + '…'}"
