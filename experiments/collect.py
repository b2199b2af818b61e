"""Gather the finished runs of an experiment into one small table, experiments/results/<name>.csv, to be committed.

    python -m experiments.collect gradient_norms

One line for each measured row and seed: the options that are not the defaults, its numbers and words (curves are left
to the run folders), the date, the device and the version of jax. What was measured layer by layer is a table of its
own, `<name>_layers.csv`, and so are rank correlations, `<name>_correlations.csv`. A cell holds a number, a word, or
nothing where there is none; units are in the column names.
"""

import csv
import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness.folder import RUNS
from experiments.harness.modules import import_experiment
from experiments.harness.records import every
from experiments.harness.run import Rows
from seqjax.errors import ArgumentError

RESULTS = Path(__file__).parent / "results"
TABLES = ("layers", "correlations")  # of a summary, beside the rows of its run


def collect(name: str, root: Path = RUNS, results: Path = RESULTS) -> Path:
    """Write the table and give its path.

    Raises:
        ArgumentError: no finished run of this name.
    """
    rows: Rows = []
    others: dict[str, Rows] = {table: [] for table in TABLES}
    for record in every(root)[0]:
        if record.config["experiment"] != name or record.status != "done":
            continue
        where = {key: record.environment[key] for key in ("date", "device", "jax")}
        run = {"run": record.setting, "options": options(record.config), "seed": record.config["seed"]}
        for table, found in others.items():
            found += [run | row | where for row in record.summary.get(table, ())]
        for row in record.rows:
            if row.get("group") == "layers":
                continue  # they stand in the summary, one line each
            numbers = {k: v for k, v in row.items() if not isinstance(v, (list, dict))}
            rows.append(run | numbers | where)
    if not rows:
        raise ArgumentError(f"no finished run of {name!r} under {root}")
    for table, found in others.items():
        if found:
            write(f"{name}_{table}", found, results)
    return write(name, rows, results)


def write(name: str, rows: Sequence[Mapping[str, Any]], results: Path = RESULTS) -> Path:
    """Store rows as the table of this name: numbers with six digits, nothing where there is none."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path = results / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return path


def update(name: str, rows: Sequence[Mapping[str, Any]], points: Sequence[str], results: Path = RESULTS) -> Path:
    """Store rows in the table of this name, in place of those that agree with one of them in the columns `points`."""
    path = results / f"{name}.csv"
    point = lambda row: tuple("" if row.get(column) is None else str(_cell(row[column])) for column in points)
    measured, others = {point(row) for row in rows}, []
    if path.exists():
        with path.open(newline="") as file:
            others = [row for row in csv.DictReader(file) if point(row) not in measured]
    return write(name, [*others, *rows], results)


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else None
    return value


def options(config: dict[str, Any]) -> str:
    """The options of a run that are not the defaults, as words of a command line."""
    fields = dataclasses.fields(import_experiment(config["experiment"]).Config)
    values = {
        field.name: (config.get(field.name, field.default), field.default) for field in fields if field.name != "seed"
    }
    return " ".join(
        f"--{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, (value, default) in values.items()
        if value != (list(default) if isinstance(default, tuple) else default)
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(collect(sys.argv[1]))
