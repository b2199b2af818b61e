"""Figures of runs: a measure over training and its result over seeds, or a trend over a number that was set."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.harness.records import Record
from experiments.harness.run import Row, Run
from experiments.harness.spread import interval, settings
from experiments.harness.tables import label, word

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BOUNDS = {"accuracy": (0.0, 1.0), "wrong_share": (0.0, 1.0), "solved": (0.0, 1.0)}
"""What a measure cannot leave; all others are errors, losses or costs, and not below 0."""


class Found(NamedTuple):
    """A row, and where it is from."""

    row: Row
    record: Record
    unit: str


def figure(records: Sequence[Record], by: Sequence[str], measure: str, trend: Sequence[str] | None = None) -> "Figure":
    """The measure over training and the result with its interval over seeds; or a trend, see `conclude`."""
    found = [
        Found(row | {k: v for k, v in settings(record).items() if k in by and not isinstance(v, list)}, record, unit)
        for record in records
        for unit, rows in record.units.items()
        for row in rows
    ]
    if trend and len({one.row[trend[0]] for one in found}) > 1:
        return _over_a_column(found, by, *trend)
    return _over_training(found, by, measure)


def print_figures(run: Run, draw: Callable[[], Mapping[str, "Figure"]]) -> None:
    """Say where the figures of a run are; they are drawn and saved, as PNG and SVG, unless the run was done before."""
    folder = run.folder / "plots"
    paths = sorted(folder.glob("*.png")) if run.was_done else []
    for path in paths or [save_figure(each, folder / name) for name, each in sorted(draw().items())]:
        print(f"figure: {path}")


def save_figure(figure: "Figure", path: Path) -> Path:
    """Save as path.png and path.svg; the path of the PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=110)
    figure.set_layout_engine("none")  # laid out once is enough
    figure.savefig(path.with_suffix(".svg"))
    return path.with_suffix(".png")


def _over_a_column(found: Sequence[Found], by: Sequence[str], x: str, y: str) -> "Figure":
    from seqjax import plot

    rows = [one.row for one in found if one.row.get(y) is not None]
    points: dict[str, dict[float, dict[int, Any]]] = {}
    for name, (row, record, _) in zip(_labels([one.row for one in found], [n for n in by if n != x]), found):
        if row.get(y) is not None:
            points.setdefault(name, {}).setdefault(row[x], {}).setdefault(record.config["seed"], row[y])
    lines = {
        name: [(at, *_mean(list(seeds.values()))) for at, seeds in sorted(ats.items())] for name, ats in points.items()
    }
    is_share = bool(rows) and isinstance(rows[0][y], bool)
    title = found[0].record.config["experiment"]
    return plot.trend(lines, x, f"{y}, share of the seeds" if is_share else y, title, bounds=bounds(y))


def _over_training(found: Sequence[Found], by: Sequence[str], measure: str) -> "Figure":
    from seqjax import plot

    curves: dict[str, dict[int, tuple[list[float], list[float]]]] = {}
    ends: dict[str, dict[int, float]] = {}
    for name, (row, record, unit) in zip(_labels([one.row for one in found], by), found):
        seed = record.config["seed"]
        if row.get(measure) is not None:
            ends.setdefault(name, {}).setdefault(seed, float(row[measure]))
        steps = [(r["step"], r[f"evaluation/{measure}"]) for r in record.curves(unit) if f"evaluation/{measure}" in r]
        if steps and len(record.units[unit]) == 1:
            curves.setdefault(name, {}).setdefault(seed, ([x for x, _ in steps], [y for _, y in steps]))
    lines = {name: list(seeds.values()) for name, seeds in curves.items()}
    results = {name: interval(list(seeds.values())) for name, seeds in ends.items()}
    known = [one.row[f"baseline_{measure}"] for one in found if one.row.get(f"baseline_{measure}") is not None]
    title = found[0].record.config["experiment"]
    return plot.comparison(lines, results, measure, sorted({float(v) for v in known}), title, bounds=bounds(measure))


def bounds(measure: str) -> tuple[float, float]:
    """What a measure cannot leave."""
    return BOUNDS.get(measure, (0.0, math.inf))


def _labels(rows: Sequence[Row], by: Sequence[str]) -> list[str]:
    """What names each row: those of the columns that take several values, or the last."""
    several = [name for name in by if len({word(row.get(name)) for row in rows}) > 1] or list(by[-1:])
    return [", ".join(label(name, row.get(name)) for name in several) for row in rows]


def _mean(values: Sequence[Any]) -> tuple[float, float]:
    """Mean and interval; a share, of truth values, has none."""
    return (float(np.mean(values)), math.nan) if isinstance(values[0], bool) else interval([float(v) for v in values])
