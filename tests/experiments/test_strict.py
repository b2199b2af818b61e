"""What experiments write is strict JSON and CSV of numbers, with units in the names, readable as it is."""

import csv
import json
import math
import re

import numpy as np
import pytest

from experiments import adding, gradient_norms
from experiments.collect import collect, write
from experiments.harness import records, strict
from experiments.harness.run import Run
from tests.experiments.makers import Options, tiny
from tests.test_style import ROOT

RESULTS = sorted(path for path in (ROOT / "experiments/results").iterdir() if path.suffix in (".csv", ".json"))
FREE = {"options", "reading", "date", "device", "jax", "flax", "python", "numpy", "grain", "torch", "xla_flags"}
"""Columns of free words, among them versions."""


def refuse(word):
    pytest.fail(f"{word} is no JSON")


def read_strictly(text):
    return json.loads(text, parse_constant=refuse)


def number_of(cell):
    """The number that pandas would read; None for text."""
    if cell in ("True", "False"):
        return float(cell == "True")
    return float(cell) if re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", cell) else None


def check_table(path):
    with path.open(newline="") as file:
        head, *rows = csv.reader(file, strict=True)
    assert rows
    assert len(set(head)) == len(head)
    for name in head:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name), f"{path.name}: {name!r}"
    for i, name in enumerate(head):
        cells = [row[i] for row in rows if row[i] != ""]
        numbers = [number_of(cell) for cell in cells]
        words = [cell for cell, number in zip(cells, numbers) if number is None]
        assert not words or len(words) == len(cells), f"{path.name}: {name} mixes numbers and text, as {words[0]!r}"
        for number in numbers:
            assert number is None or math.isfinite(number), f"{path.name}: {name} holds {number}"
        for word in words if name not in FREE else ():
            formatted = re.match(
                r"[-+]?[\d.,]+ ?(%|±|e[+-]|[a-zµ]?s$|[KMG]i?B|x$|\(| to |$)|nan|inf|none|null|-$", word, re.I
            )
            assert not formatted, f"{path.name}: {name} holds the text {word!r}"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_committed_results(path):
    if path.suffix == ".json":
        read_strictly(path.read_text())
    else:
        check_table(path)


def test_the_check_of_tables_finds_what_is_wrong(tmp_path):
    for head, cells in (("share", "45 %"), ("a b", "1"), ("x", "nan"), ("norm", "7.7e-177 (k)"), ("x", "1\n-")):
        path = tmp_path / "table.csv"
        path.write_text(f"{head}\n{cells}\n")
        with pytest.raises(AssertionError):
            check_table(path)


@pytest.mark.slow  # its parts are tried below, and each experiment reads its own files
def test_every_file_of_a_run(text, here):
    gradient_norms.main(tiny(text, lengths=(2, 30), train_steps=2, layered="GRU(2)"))
    files = [path for path in here.glob("runs/**/*") if path.suffix in (".json", ".jsonl")]
    assert len(files) == 4
    for path in files:
        for line in [path.read_text()] if path.suffix == ".json" else path.read_text().splitlines():
            read_strictly(line)
    summary = json.loads(next(here.glob("runs/*/*/summary.json")).read_text())
    for rows in summary.values():
        for row in rows:
            for name, value in row.items():
                assert re.fullmatch(r"[a-z0-9_]+", name)
                assert name in ("group", "cell", "phase", "model", "path", "layer", "read") or not isinstance(
                    value, str
                )
    check_table(collect("gradient_norms", results=here))


def test_norms_below_all_floats_are_logarithms(text):
    """1e-400 is 0 as a float; its logarithm is a number like any other."""
    import seqjax as sj
    from experiments.gradients import sources

    cell = sj.RNN(1, activation="identity", recurrent_init=sj.initializers.identity(1e-10))
    (row,) = gradient_norms.study(cell, sources.load(text), tiny(text, lengths=(50,), train_steps=0), None)[:1]
    assert row["log10_norms"][41] < -400
    assert row["log10_norm_at_distance_10"] == row["log10_norms"][10]


def test_what_is_not_finite_is_null():
    value = {"a": math.nan, "b": (math.inf, 1), "c": np.float32(0.5), "d": np.int64(3), "e": None, "f": np.bool_(True)}
    assert strict.dumps(value) == '{"a": null, "b": [null, 1], "c": 0.5, "d": 3, "e": null, "f": true}'
    with pytest.raises(TypeError, match="neither a number nor a text"):
        strict.dumps({"a": object()})


def test_rows_are_the_same_now_and_when_read(tmp_path):
    found = [{"x": np.float64("nan"), "y": (1, 2), "z": np.float32(0.1)}]
    now = Run("x", Options(), root=tmp_path)
    rows = now.work({"a": lambda folder: found})
    now.finish({})
    assert records.read(now.folder).units["a"] == rows == [{"x": None, "y": [1, 2], "z": float(np.float32(0.1))}]


def test_tables_have_nothing_where_there_is_none(tmp_path):
    path = write("t", [{"a": 1 / 3, "b": math.nan}, {"a": 1e-30, "b": 2}], tmp_path)
    assert path.read_text() == "a,b\n0.333333,\n1e-30,2\n"


def test_a_seed_is_one_that_keys_tell_apart(here):
    """2**32 once gave the parameters of seed 0."""
    for seed in (2**32, -1):
        for module in (adding, gradient_norms):
            with pytest.raises(ValueError, match="seed must be"):
                module.main(module.Config(seed=seed, **({} if module is adding else {"data": "digits"})))
    assert not (here / "runs").exists()
