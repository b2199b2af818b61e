"""Run folders and their commands: stopping, killing, going on, comparing over seeds."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("optax", reason="optax is not installed (extra: train)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")

import seqjax as sj
from experiments import adding, records
from experiments.__main__ import main
from experiments.collect import collect
from experiments.common import Run, Stopped, table
from experiments.compare import interval, spread
from experiments.training import first_below
from tests.test_style import ROOT


@dataclasses.dataclass(frozen=True)
class Options:
    width: int = 3
    seed: int = 0


TINY = {"cell": ("GRU(3)",), "length": 6, "steps": 4, "batch": 4, "every": 2, "evaluation": 10}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raising(error):
    def job(folder):
        raise error

    return job


@pytest.mark.parametrize("error, word", [(RuntimeError("no"), "failed"), (Stopped("asked"), "stopped")], ids=str)
def test_an_unfinished_run_says_so_and_goes_on(tmp_path, error, word):
    run = Run("x", Options(), root=tmp_path)
    with pytest.raises(type(error)):
        run.work({"a": lambda folder: [{"value": 1}], "b": raising(error)})
    assert records.read(run.folder).status == word
    again = Run("x", Options(), root=tmp_path)
    assert again.units == {"a": [{"value": 1}]}
    assert again.work({"a": raising(error), "b": lambda folder: [{"value": 2}]}) == [{"value": 1}, {"value": 2}]
    again.finish({"rows": []})
    assert records.read(run.folder).status == "done"


def test_units_have_folders_of_their_own(tmp_path):
    run = Run("x", Options(), root=tmp_path)
    seen = []
    names = ["RNN(3)", "RNN[3]", "RNN(3) T=5", "../../up", "a" * 300]
    run.work({name: lambda folder: seen.append(folder) or [] for name in names})
    run.finish({})
    assert len(set(seen)) == len(names)
    assert {folder.parent for folder in seen} == {run.folder / "units"}


def test_one_process_at_a_time(tmp_path):
    run = Run("x", Options(), root=tmp_path)
    with pytest.raises(sj.ArgumentError, match="another process is at work"):
        Run("x", Options(), root=tmp_path)
    assert records.read(run.folder).status == "running"
    run.finish({})
    Run("x", Options(), root=tmp_path).finish({})


def test_a_killed_run_is_called_killed(tmp_path):
    run = Run("x", Options(), root=tmp_path)
    run._lock.close()  # what the system does
    assert records.read(run.folder).status == "killed"


def script(here, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL], ids=lambda sign: sign.name)
def test_a_stopped_training_ends_as_one_that_was_not(here, sign):
    """`resume` after a signal gives the rows of a run that was left alone."""
    pytest.importorskip("tyro", reason="tyro is not installed (extra: experiments)")
    options = [
        "--cell",
        "GRU(3)",
        "--length",
        "6",
        "--steps",
        "3000",
        "--batch",
        "4",
        "--every",
        "20",
        "--evaluation",
        "10",
    ]
    process = script(here, "experiments.adding", *options)
    deadline = time.monotonic() + 120
    while not list(here.glob("runs/adding/*/units/*/checkpoints/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sign)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    (record,) = records.every(here / "runs")
    assert record.status == ("stopped" if sign == signal.SIGTERM else "killed"), said
    main(["resume", record.name])
    (record,) = records.every(here / "runs")
    assert record.status == "done"
    whole = here / "whole"
    whole.mkdir()
    os.chdir(whole)
    config = adding.Config(
        **{
            k: tuple(v) if isinstance(v, list) else v
            for k, v in record.config.items()
            if k not in ("seqjax", "experiment")
        }
    )
    adding.main(config)
    (other,) = records.every(whole / "runs")
    first, second = ({k: v for k, v in r.rows[0].items() if k != "seconds"} for r in (record, other))
    assert first == second
    assert [r for r in record.curves("GRU(3) T=6") if "loss" in r][-1]["loss"] == other.curves("GRU(3) T=6")[-2]["loss"]


def test_commands(here, capsys):
    for seed in (0, 1):
        adding.main(adding.Config(**TINY, seed=seed))
    capsys.readouterr()
    main(["list"])
    said = capsys.readouterr().out
    assert "Which cells carry two numbers" in said
    assert said.count("done") == 2
    name = records.every(here / "runs")[0].name
    main(["show", name])
    said = capsys.readouterr().out
    assert "GRU(3)" in said
    assert "mse.png" in said
    main(["compare", "adding"])
    said = capsys.readouterr().out
    assert "±" in said
    assert "0 of 2" in said
    assert (here / "runs/adding/comparison.png").stat().st_size > 5000
    lines = collect("adding", results=here).read_text().splitlines()
    assert lines[0].startswith("run,seed,length,cell,mse,")
    assert [line.split(",")[1] for line in lines[1:]] == ["0", "1"]
    with pytest.raises(sj.ArgumentError, match="no finished run of 'gradient_norms'"):
        collect("gradient_norms", results=here)
    main(["compare", *(str(record.folder) for record in records.every(here / "runs"))])
    adding.main(adding.Config(**(TINY | {"batch": 3})))
    capsys.readouterr()
    main(["compare", "adding"])
    assert capsys.readouterr().out.startswith("batch  length  cell")


@pytest.mark.parametrize(
    "words, message",
    [
        (["show", "adding"], "names 2 runs"),
        (["show", "nothing"], "no run is called 'nothing'"),
        (["compare", "adding", "other"], "runs of one experiment"),
        (["resume", "other"], "another version of the experiment, without or with batch"),
    ],
    ids=str,
)
def test_wrong_commands(here, words, message):
    for seed in (0, 1):
        Run("adding", adding.Config(seed=seed)).finish({"by": [], "measure": "mse", "rows": []})
    Run("other", Options()).finish({"by": [], "measure": "mse", "rows": []})
    path = next(here.glob("runs/other/*/config.json"))
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"experiment": "adding" if words[0] == "resume" else "other"})
    )
    with pytest.raises(sj.ArgumentError, match=message):
        main(words)


def test_a_run_that_is_not_done_is_not_compared(here):
    Run("adding", adding.Config())._lock.close()
    with pytest.raises(sj.ArgumentError, match=r"none of these runs is done: adding/\w+-s0 \(killed\)"):
        main(["compare", "adding"])


def test_a_damaged_run_is_named(here):
    run = Run("x", Options())
    (run.folder / "environment.json").write_text("{")
    run.finish({})
    with pytest.raises(sj.DataError, match=r"environment\.json"):
        records.read(run.folder)


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
    ]
    assert spread(rows, ("cell",)) == [
        ["cell", "seeds", "loss", "solved", "at"],
        ["a", "2", "2 ± 13", "1 of 2", "10 (1 of 2)"],
        ["b", "1", "5", "1 of 1", "20"],
    ]


def test_first_below():
    rows = [{"step": 1, "loss": 0.1}, {"step": 2, "evaluation/mse": 0.5}, {"step": 4, "evaluation/mse": 0.1}]
    assert first_below(rows, "mse", 0.2) == 4
    assert first_below(rows, "mse", 0.1) is None


def test_table():
    assert table([["a", "bb"], ["ccc", "d"]]) == "a    bb\n---  --\nccc  d"
