"""Gather the finished runs of an experiment into one small table, experiments/results/<name>.csv, to be committed.

    python -m experiments.collect gradient_norms

One line for each measured row and seed: the options that are not the defaults, its numbers and words (curves are left
to the run folders), the date, the device and the version of jax. What was measured layer by layer is a table of its
own, `<name>_layers.csv`.
"""

import csv
import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

from experiments.common import RUNS
from experiments.records import every
from seqjax.errors import ArgumentError

RESULTS = Path(__file__).parent / "results"


def collect(name: str, root: Path = RUNS, results: Path = RESULTS) -> Path:
    """Write the table and give its path.

    Raises:
        ArgumentError: no finished run of this name.
    """
    rows: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    for record in every(root)[0]:
        if record.config["experiment"] != name or record.status != "done":
            continue
        where = {key: record.environment[key] for key in ("date", "device", "jax")}
        run = {"run": record.folder.name.split("-")[0], "options": options(record.config)}
        run["seed"] = record.config["seed"]
        layers += [run | row | where for row in record.summary.get("layers", ())]
        for row in record.rows:
            if row.get("group") == "layers":
                continue  # they stand in the summary, one line each
            numbers = {k: v for k, v in row.items() if not isinstance(v, (list, dict))}
            curve = {f"log10 k={k}": row["mean"][k] for k in (1, 10, 100, 1000) if k < len(row.get("mean", ()))}
            rows.append(run | numbers | curve | where)
    if not rows:
        raise ArgumentError(f"no finished run of {name!r} under {root}")
    if layers:
        write(f"{name}_layers", layers, results)
    return write(name, rows, results)


def write(name: str, rows: list[dict[str, Any]], results: Path = RESULTS) -> Path:
    """Store rows as the table of this name; numbers with six digits."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path = results / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    return path


def options(config: dict[str, Any]) -> str:
    """The options of a run that are not the defaults, as words of a command line."""
    fields = dataclasses.fields(importlib.import_module(f"experiments.{config['experiment']}").Config)
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
