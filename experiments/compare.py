"""Runs beside each other: mean and interval over seeds, as a table and as a figure."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from experiments.common import Rows, Run, table
from experiments.records import Record, read
from seqjax.errors import ArgumentError

CONFIDENCE = 0.95


def conclude(
    run: Run, rows: Rows, measure: str, note: str = "", trend: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Print the table of a run, draw its figure, and mark it as done; the summary.

    Args:
        run: whose units are done.
        rows: of all of them.
        measure: the column that answers the question, and the name of the evaluation that is drawn.
        note: said below the table.
        trend: columns x and y; where x takes several values, y over x is drawn instead of the measure.
    """
    summary = {"by": run.by, "measure": measure, "trend": trend, "rows": rows}
    print(table(plain(rows)), *([note] if note else []), sep="\n\n")
    for path in run.plots() or run.plot({measure: figure([read(run.folder)], run.by, measure, trend)}):
        print(f"figure: {path}")
    run.finish(summary)
    return summary


def compare(records: list[Record]) -> tuple[list[list[str]], Any]:
    """Table and figure of finished runs of one experiment.

    Raises:
        ArgumentError: none is finished, or they are of several experiments.
    """
    done = [record for record in records if record.status == "done"]
    if not done:
        raise ArgumentError(
            "compare: none of these runs is done: " + ", ".join(f"{r.name} ({r.status})" for r in records)
        )
    names = {record.config["experiment"] for record in done}
    if len(names) > 1:
        raise ArgumentError(f"compare: runs of one experiment can be compared, found {', '.join(sorted(names))}")
    if "measure" not in done[0].summary:
        raise ArgumentError(f"compare: {done[0].config['experiment']} has no single measure; see `show`")
    by, measure = tuple(done[0].summary["by"]), done[0].summary["measure"]
    changed = varying(done)
    by = tuple(dict.fromkeys((*changed, *by)))
    return spread(grouped(done, changed), by), figure(done, by, measure, done[0].summary.get("trend"))


def varying(records: list[Record]) -> tuple[str, ...]:
    """Options in which the runs differ, but for the seed and for lists, which say what was done and not how."""
    options = [{k: v for k, v in _settings(record).items() if not isinstance(v, list)} for record in records]
    names = dict.fromkeys(name for config in options for name in config if name != "seed")
    return tuple(name for name in names if len({json.dumps(config.get(name)) for config in options}) > 1)


def grouped(records: list[Record], changed: tuple[str, ...]) -> Rows:
    """The rows of all runs, with the options in which they differ, and the seed."""
    found = []
    for record in records:
        settings = {name: _word(_settings(record).get(name)) for name in changed}
        for row in record.summary["rows"]:
            told = {name for name in changed if name in row and _word(row[name]) == settings[name]}
            measured = {f"{k} (found)" if k in changed else k: v for k, v in row.items() if k not in told}
            found.append(settings | {"seed": record.config["seed"]} | measured)
    return found


def _settings(record: Record) -> dict[str, Any]:
    """What a run's numbers may depend on."""
    return record.config | {name: record.environment[name] for name in ("device", "jax")}


def spread(rows: Rows, by: tuple[str, ...]) -> list[list[str]]:
    """One line for each setting: number of seeds, and of each measure the mean and its interval. A seed counts once."""
    groups: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in by), {}).setdefault(row["seed"], row)
    measures = [name for name in dict.fromkeys(k for row in rows for k in row) if name not in (*by, "seed")]
    measures = [name for name in measures if not any(isinstance(row.get(name), (list, dict, str)) for row in rows)]
    lines = [[*by, "seeds", *measures]]
    for setting, seeds in groups.items():
        group = list(seeds.values())
        values = [_spread([row.get(name) for row in group]) for name in measures]
        lines.append([*map(_word, setting), str(len(group)), *values])
    return lines


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t; NaN for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return mean, quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def plain(rows: Rows) -> list[list[str]]:
    """Rows as text, without what is no number or word."""
    names = list(dict.fromkeys(k for row in rows for k in row))
    names = [name for name in names if not any(isinstance(row.get(name), (list, dict)) for row in rows)]
    return [names, *([_word(row.get(name)) for name in names] for row in rows)]


def figure(records: list[Record], by: tuple[str, ...], measure: str, trend: Sequence[str] | None = None) -> Any:
    """The measure over training and the result with its interval over seeds; or a trend, see `conclude`."""
    found = [
        (row | {k: v for k, v in _settings(record).items() if k in by and not isinstance(v, list)}, record, unit)
        for record in records
        for unit, rows in record.units.items()
        for row in rows
    ]
    if trend and len({row[trend[0]] for row, _, _ in found}) > 1:
        return _over_a_column(found, by, *trend)
    return _over_training(found, by, measure)


def _over_a_column(found: list[tuple[dict[str, Any], Record, str]], by: Sequence[str], x: str, y: str) -> Any:
    from seqjax import plot

    rows = [row for row, _, _ in found]
    points: dict[str, dict[float, dict[int, Any]]] = {}
    for name, (row, record, _) in zip(_labels(rows, [name for name in by if name != x]), found):
        points.setdefault(name, {}).setdefault(row[x], {}).setdefault(record.config["seed"], row[y])
    lines = {
        name: [(at, *_mean(list(seeds.values()))) for at, seeds in sorted(ats.items())] for name, ats in points.items()
    }
    label = f"{y}, share of the seeds" if isinstance(rows[0][y], bool) else y
    return plot.trend(lines, x, label, found[0][1].config["experiment"])


def _over_training(found: list[tuple[dict[str, Any], Record, str]], by: Sequence[str], measure: str) -> Any:
    from seqjax import plot

    rows = [row for row, _, _ in found]
    curves: dict[str, dict[int, tuple[list[float], list[float]]]] = {}
    ends: dict[str, dict[int, float]] = {}
    for name, (row, record, unit) in zip(_labels(rows, by), found):
        seed = record.config["seed"]
        if row.get(measure) is not None:
            ends.setdefault(name, {}).setdefault(seed, float(row[measure]))
        steps = [(r["step"], r[f"evaluation/{measure}"]) for r in record.curves(unit) if f"evaluation/{measure}" in r]
        if steps and len(record.units[unit]) == 1:
            curves.setdefault(name, {}).setdefault(seed, ([x for x, _ in steps], [y for _, y in steps]))
    lines = {name: list(seeds.values()) for name, seeds in curves.items()}
    results = {name: interval(list(seeds.values())) for name, seeds in ends.items()}
    baselines = sorted({float(row["baseline"]) for row in rows if "baseline" in row})
    return plot.comparison(lines, results, measure, baselines, found[0][1].config["experiment"])


def _labels(rows: Rows, by: Sequence[str]) -> list[str]:
    """What names each row: those of the columns that take several values, or the last."""
    several = [name for name in by if len({_word(row.get(name)) for row in rows}) > 1] or list(by[-1:])
    return [", ".join(_named(name, row.get(name)) for name in several) for row in rows]


def _mean(values: list[Any]) -> tuple[float, float]:
    """Mean and interval; a share, of truth values, has none."""
    return (float(np.mean(values)), math.nan) if isinstance(values[0], bool) else interval([float(v) for v in values])


def _spread(values: list[Any]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if all(isinstance(value, bool) for value in known):
        return f"{sum(known)} of {len(values)}"
    mean, half = interval([float(value) for value in known]) if len(set(known)) > 1 else (float(known[0]), 0.0)
    some = "" if len(known) == len(values) else f" ({len(known)} of {len(values)})"
    return (_number(mean) if half == 0 else f"{_number(mean)} ± {half:.2g}") + some


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_word, value))
    return _number(value) if isinstance(value, (int, float)) else str(value)


def _named(name: str, value: Any) -> str:
    """A value that says what it is of: `batch 32`, `not permuted`, but `GRU(64)`."""
    if isinstance(value, bool):
        return name if value else f"not {name}"
    return f"{name} {_word(value)}" if isinstance(value, (int, float)) else _word(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"
