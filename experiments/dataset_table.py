"""How large are the data sets? Loads every one that this machine can reach and writes results/datasets.csv.

    python -m experiments.dataset_table

Expectation: the counts that are published of each; `tests/datasets/test_real.py` compares.
"""

import sys

import numpy as np

from experiments.collect import write
from experiments.harness.tables import table, text_rows
from seqjax import datasets
from seqjax.batching.ragged import Ragged
from seqjax.datasets import Dataset
from seqjax.errors import DataError


def rows_of(data: Dataset) -> list[dict[str, str | int | None]]:
    """A row for each split: sizes and lengths of the inputs, and how many names inputs and targets have."""
    rows = []
    for name, split in data.splits.items():
        ragged = isinstance(split.inputs, Ragged)
        lengths = split.inputs.lengths if ragged else np.full(len(split), split.inputs.shape[1])
        shape = split.inputs.values.shape[1:] if ragged else split.inputs.shape[2:]
        row: dict[str, str | int | None] = {"data_set": data.name, "split": name, "examples": len(split)}
        row |= {"steps": split.steps, "min_length": int(lengths.min()), "max_length": int(lengths.max())}
        row |= dict(zip(("features", "features_2"), (*shape, None, None)))
        rows.append(row | {"input_names": len(data.input_names), "target_names": len(data.target_names)})
    return rows


def main() -> int:
    """Write the table; 1 if something could not be reached."""
    found, failed = [], 0
    for name in datasets.names():
        try:
            found += rows_of(datasets.load(name))
        except DataError as error:
            failed += 1
            print(f"{name}: {error}", file=sys.stderr)
    write("datasets", found)
    print(table(text_rows(found)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
