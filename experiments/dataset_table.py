"""How large are the data sets? Loads every one that this machine can reach and writes results/datasets.csv.

    python -m experiments.dataset_table

Expectation: the counts that are published of each; `tests/test_datasets_real.py` compares.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from seqjax import datasets
from seqjax.batching.ragged import Ragged
from seqjax.datasets import Dataset
from seqjax.errors import DataError

FIELDS = ("data set", "split", "examples", "steps", "shortest", "longest", "features", "names in", "names out")
TABLE = Path(__file__).parent / "results" / "datasets.csv"


def rows(data: Dataset) -> list[tuple[str | int, ...]]:
    """A row for each split: sizes and lengths of the inputs, and how many names inputs and targets have."""
    found: list[tuple[str | int, ...]] = []
    for name, split in data.splits.items():
        ragged = isinstance(split.inputs, Ragged)
        lengths = split.inputs.lengths if ragged else np.full(len(split), split.inputs.shape[1])
        features = "x".join(map(str, split.inputs.values.shape[1:] if ragged else split.inputs.shape[2:])) or "-"
        sizes = (len(split), split.steps, int(lengths.min()), int(lengths.max()), features)
        found.append((data.name, name, *sizes, len(data.input_names), len(data.target_names)))
    return found


def main() -> int:
    """Write the table; 1 if something could not be reached."""
    table, failed = [], 0
    for name in datasets.names():
        try:
            table += rows(datasets.load(name))
        except DataError as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([FIELDS, *table])
    for row in [FIELDS, *table]:
        print("".join(str(cell).ljust(width) for cell, width in zip(row, (20, 7, 10, 11, 9, 9, 10, 9, 9))))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
