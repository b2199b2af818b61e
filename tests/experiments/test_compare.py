"""Runs beside each other: the numbers, and what is left out."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import seqjax as sj
from experiments import adding
from experiments.__main__ import main
from experiments.harness import records
from experiments.harness.run import Run
from experiments.harness.spread import interval, rows_of, spread
from experiments.harness.tables import table
from experiments.harness.training import first_below


def test_a_run_that_is_not_done_is_not_compared(here):
    Run("adding", adding.Config())._lock.close()
    with pytest.raises(sj.ArgumentError, match=r"there is no run to compare. adding/\w+-s0: killed"):
        main(["compare", "adding"])


@pytest.fixture
def six(here):
    """Six finished runs of one setting."""
    for seed in range(6):
        run = Run("adding", adding.Config(seed=seed), by=("cell",))
        rows = run.work({"GRU(64)": lambda folder: [{"cell": "GRU(64)", "mse": 0.5, "baseline_mse": 1.0}]})
        run.finish({"by": ["cell"], "measure": "mse", "trend": None, "rows": rows})
    return sorted(here.glob("runs/adding/*"), key=lambda path: path.name)


def test_what_is_left_out_is_named(six, capsys):
    """Each run but the last is damaged in its own way; once they were dropped in silence, or an error without a name."""
    (six[0] / "config.json").unlink()
    (six[1] / "config.json").write_text((six[1] / "config.json").read_text().replace('"length": 200', '"length": 300'))
    (six[2] / "summary.json").write_text("{}\n")
    (six[3] / "summary.json").write_text('{"by": [')
    (six[4] / "STATUS").write_text("running\n")
    main(["compare", "adding"])
    said = capsys.readouterr().out
    assert said.splitlines()[2].split() == ["GRU(64)", "1", "0.5", "1"]
    left = [line.removeprefix("left out: ") for line in said.splitlines() if line.startswith("left out: ")]
    assert {line.split(":")[0] for line in left} == {f"adding/{folder.name}" for folder in six[:5]}
    for folder, reason in zip(six, ("config.json is missing", "edited", "incomplete", "cannot be read", "killed")):
        assert any(folder.name in line.split(":")[0] and reason in line for line in left), (folder, left)


def test_runs_without_a_measure_are_not_compared(here):
    Run("adding", adding.Config()).finish({"flow": []})
    with pytest.raises(sj.ArgumentError, match="has no single measure; see `show`"):
        main(["compare", "adding"])


def test_a_result_that_is_not_a_number_is_no_result(here, capsys):
    """A training that diverged: null in the files, and "-" or fewer seeds in the table."""
    for seed, mse in enumerate((0.5, float("nan"), float("inf"))):
        run = Run("adding", adding.Config(seed=seed), by=("cell",))
        rows = run.work({"a": lambda folder, mse=mse: [{"cell": "a", "mse": mse}]})
        run.finish({"by": ["cell"], "measure": "mse", "trend": None, "rows": rows})
    main(["compare", "adding"])
    assert "0.5 (1 of 3)" in capsys.readouterr().out


def test_each_comparison_has_a_file_of_its_own(six, capsys):
    names = [f"adding/{folder.name}" for folder in six]
    for words in (names[:2], names[:3], names[:2]):
        main(["compare", *words])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("figure: ")]
    assert lines[0] == lines[2] != lines[1]
    assert len(list(Path("runs/adding").glob("*.png"))) == 2


def test_interval_is_students():
    values = [1.0, 2.0, 4.0, 4.5]
    mean, half = interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    np.testing.assert_allclose((mean - half, mean + half), (low, high), rtol=1e-12)
    assert math.isnan(interval([3.0])[1])


def test_spread_counts_seeds_and_what_is_missing():
    rows = [
        {"cell": "a", "seed": 0, "loss": 1.0, "solved": True, "at": 10},
        {"cell": "a", "seed": 1, "loss": 3.0, "solved": False, "at": None},
        {"cell": "b", "seed": 0, "loss": 5.0, "solved": True, "at": 20},
        {"cell": "b", "seed": 0, "loss": 7.0, "solved": True, "at": 20},  # a seed counts once
    ]
    assert spread(rows, ("cell",)) == [
        ["cell", "seeds", "loss", "solved", "at"],
        ["a", "2", "2 ± 13", "1 of 2", "10 (1 of 2)"],
        ["b", "1", "5", "1 of 1", "20"],
    ]


def test_equal_values_have_no_interval():
    """The standard deviation of three times 0.1 is 1.7e-17."""
    rows = [{"cell": "a", "seed": seed, "baseline": 0.1} for seed in range(3)]
    assert spread(rows, ("cell",))[1] == ["a", "3", "0.1"]


def test_an_option_and_a_measured_column_of_one_name():
    def record(steps, found):
        summary = {"rows": [{"steps": found, "loss": 1.0}]}
        return records.Record(Path(), {"seed": 0, "steps": steps}, {"device": "", "jax": ""}, {}, summary)

    rows = rows_of([record(4, 4), record(8, 6)], ("steps",))
    assert rows == [{"steps": "4", "seed": 0, "loss": 1.0}, {"steps": "8", "seed": 0, "found_steps": 6, "loss": 1.0}]


def test_first_below():
    rows = [{"step": 1, "loss": 0.1}, {"step": 2, "evaluation/mse": 0.5}, {"step": 4, "evaluation/mse": 0.1}]
    assert first_below(rows, "mse", 0.2) == 4
    assert first_below(rows, "mse", 0.1) is None


def test_table():
    assert table([["a", "bb"], ["ccc", "d"]]) == "a    bb\n---  --\nccc  d"
