"""Mean and interval over seeds."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from experiments.harness.records import Record
from experiments.harness.run import Row, Rows
from experiments.harness.tables import number, word

CONFIDENCE = 0.95


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t; NaN for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return mean, quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def differences(records: Sequence[Record]) -> tuple[str, ...]:
    """Options in which the runs differ, but for the seed and for lists, which say what was done and not how."""
    options = [{k: v for k, v in settings(record).items() if not isinstance(v, list)} for record in records]
    names = dict.fromkeys(name for config in options for name in config if name != "seed")
    return tuple(name for name in names if len({json.dumps(config.get(name)) for config in options}) > 1)


def settings(record: Record) -> dict[str, Any]:
    """What a run's numbers may depend on."""
    return record.config | {name: record.environment[name] for name in ("device", "jax")}


def rows_of(records: Sequence[Record], options: Sequence[str]) -> Rows:
    """The rows of all runs, each with the named options of its run, and the seed.

    A measured column that repeats such an option is left out; one of its name that says something else is renamed.
    """
    rows = []
    for record in records:
        given = {name: word(settings(record).get(name)) for name in options}
        for row in record.summary["rows"]:
            repeats = {name for name in options if name in row and word(row[name]) == given[name]}
            measured = {f"found_{k}" if k in given else k: v for k, v in row.items() if k not in repeats}
            rows.append(given | {"seed": record.config["seed"]} | measured)
    return rows


def spread(rows: Rows, by: Sequence[str]) -> list[list[str]]:
    """One line for each setting: number of seeds, and of each measure the mean and its interval. A seed counts once."""
    groups: dict[tuple[Any, ...], dict[int, Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in by), {}).setdefault(row["seed"], row)
    measures = [name for name in dict.fromkeys(k for row in rows for k in row) if name not in (*by, "seed")]
    measures = [name for name in measures if not any(isinstance(row.get(name), (list, dict, str)) for row in rows)]
    lines = [[*by, "seeds", *measures]]
    for setting, seeds in groups.items():
        group = list(seeds.values())
        values = [over_seeds([row.get(name) for row in group]) for name in measures]
        lines.append([*map(word, setting), str(len(group)), *values])
    return lines


def over_seeds(values: Sequence[Any]) -> str:
    """Values of one measure in words: mean and interval, of how many seeds, or how many are true."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if all(isinstance(value, bool) for value in known):
        return f"{sum(known)} of {len(values)}"
    mean, half = interval([float(value) for value in known]) if len(set(known)) > 1 else (float(known[0]), 0.0)
    some = "" if len(known) == len(values) else f" ({len(known)} of {len(values)})"
    return (number(mean) if half == 0 else f"{number(mean)} ± {half:.2g}") + some
