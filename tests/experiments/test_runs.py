"""Run folders and their commands: stopping, killing, going on, comparing over seeds."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import stats

pytest.importorskip("optax", reason="optax is not installed (extra: train)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")

import seqjax as sj
from experiments import adding, records
from experiments.__main__ import main
from experiments.collect import collect
from experiments.common import Run, Stopped, environment, table
from experiments.compare import grouped, interval, spread
from experiments.training import first_below
from seqjax import train
from seqjax._internal.signals import stop_requests
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


def runs_in(folder):
    found, damaged = records.every(folder / "runs")
    assert not damaged
    return found


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
    words = "--cell GRU(3) --length 40 --steps 1500 --batch 4 --every 20 --evaluation 10"
    process = script(here, "experiments.adding", *words.split())
    deadline = time.monotonic() + 120
    while not any(train.Checkpoints(path).latest() for path in here.glob("runs/adding/*/units/*/checkpoints")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(sign)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    (record,) = runs_in(here)
    assert record.status == ("stopped" if sign == signal.SIGTERM else "killed"), said
    main(["resume", record.name])
    (record,) = runs_in(here)
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
    (other,) = runs_in(whole)
    first, second = ({k: v for k, v in r.rows[0].items() if k != "seconds"} for r in (record, other))
    assert first == second
    logs = [[{k: v for k, v in row.items() if k != "time"} for row in r.curves("GRU(3) T=40")] for r in (record, other)]
    assert len(logs[0]) == 150
    assert logs[0] == logs[1]


def test_commands(here, capsys):
    for seed in (0, 1):
        adding.main(adding.Config(**TINY, seed=seed))
    capsys.readouterr()
    main(["list"])
    said = capsys.readouterr().out
    assert "Which cells carry two numbers" in said
    assert said.count("done") == 2
    name = runs_in(here)[0].name
    main(["show", name])
    said = capsys.readouterr().out
    assert "GRU(3)" in said
    assert "mse.png" in said
    main(["compare", "adding"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("length  cell")
    assert said[2].split()[:3] == ["6", "GRU(3)", "2"]
    assert "±" in said[2]
    assert "0 of 2" in said[2]
    assert (here / "runs/adding/comparison.png").stat().st_size > 5000
    lines = collect("adding", results=here).read_text().splitlines()
    assert lines[0].startswith("run,options,seed,length,cell,mse,")
    changed = "--cell GRU(3) --length 6 --steps 4 --batch 4 --every 2 --evaluation 10"
    assert [line.split(",")[1:3] for line in lines[1:]] == [[changed, "0"], [changed, "1"]]
    with pytest.raises(sj.ArgumentError, match="no finished run of 'gradient_norms'"):
        collect("gradient_norms", results=here)
    main(["compare", *(str(record.folder) for record in runs_in(here))])
    adding.main(adding.Config(**(TINY | {"batch": 3})))
    capsys.readouterr()
    main(["compare", "adding"])
    said = capsys.readouterr().out
    assert said.startswith("batch  length  cell")
    # a measured column that repeats an option is left out, and a seed counts once
    adding.main(adding.Config(**(TINY | {"steps": 2})))
    Run("adding", adding.Config(seed=9))._lock.close()
    capsys.readouterr()
    main(["compare", "adding"])
    said = capsys.readouterr().out
    assert said.startswith("steps  batch  length  cell")
    assert "(found)" not in said
    assert "left out: adding/" in said


@pytest.mark.parametrize(
    "words, message",
    [
        (["show", "adding"], "names 2 runs"),
        (["show", "nothing"], "no run is called 'nothing'"),
        (["compare", "adding", "other"], "runs of one experiment"),
        (["resume", "other"], "another version of the experiment, without or with batch"),
        (["resume", "third"], "another version of seqjax, or edited"),
        (["resume", "fourth"], "there is no experiment 'fourth' any more"),
    ],
    ids=str,
)
def test_wrong_commands(here, words, message):
    for seed in (0, 1):
        Run("adding", adding.Config(seed=seed)).finish({"by": [], "measure": "mse", "rows": []})
    for name, config in (("other", Options()), ("third", adding.Config()), ("fourth", Options())):
        Run(name, config).finish({"by": [], "measure": "mse", "rows": []})
    if words[0] == "resume" and words[1] != "fourth":
        path = next(here.glob(f"runs/{words[1]}/*/config.json"))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"experiment": "adding"}))
    with pytest.raises(sj.ArgumentError, match=message):
        main(words)


def test_a_run_that_is_not_done_is_not_compared(here):
    Run("adding", adding.Config())._lock.close()
    with pytest.raises(sj.ArgumentError, match=r"none of these runs is done: adding/\w+-s0 \(killed\)"):
        main(["compare", "adding"])


DAMAGE = {"environment.json": (b"{", b"3\n", b"{}\n", b"\xff\xfe\n"), "summary.json": (b"{", b"3\n", b"\xff\n")}
DAMAGE |= {"config.json": DAMAGE["environment.json"], "metrics.jsonl": (b"{\n", b"3\n", b"{}\n", b"\xff\n")}


@pytest.mark.parametrize("name, content", [(name, content) for name in DAMAGE for content in DAMAGE[name]], ids=str)
def test_a_damaged_run_is_named_and_hinders_no_other(here, capsys, name, content):
    run, good = Run("x", Options()), Run("y", Options(seed=1))
    run.work({"a": lambda folder: [{"value": 1}]})
    for each in (run, good):
        each.finish({"by": [], "rows": []})
    (run.folder / name).write_bytes(content)
    with pytest.raises(sj.DataError, match=name.replace(".", "[.]")):
        records.read(run.folder)
    main(["list"])
    main(["show", "y"])
    said = capsys.readouterr().out
    assert name in said
    assert "y/" in said
    with pytest.raises(sj.ArgumentError, match=r"no run is called 'x'.*not readable: "):
        main(["show", "x"])


def test_rows_that_are_missing_are_noticed_before_anything_is_written(tmp_path):
    run = Run("x", Options(), root=tmp_path)
    run.work({"a": lambda folder: [{"value": 1}, {"value": 2}]})
    run._lock.close()
    path = run.folder / "metrics.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rest))
    before = {p.name: p.read_bytes() for p in run.folder.iterdir() if p.is_file()}
    with pytest.raises(sj.DataError, match="rows of 'a' before line 2 are missing"):
        Run("x", Options(), root=tmp_path)
    assert {p.name: p.read_bytes() for p in run.folder.iterdir() if p.is_file()} == before
    path.write_text(first + "".join(rest) + '{"unit": "b", "value": 3}\n{"unit": "half a li')
    again = Run("x", Options(), root=tmp_path)
    assert list(again.units) == ["a"]
    assert path.read_text() == first + "".join(rest)
    again.finish({})


def test_a_folder_of_another_config_is_left_alone(tmp_path):
    run = Run("x", Options(), root=tmp_path)
    run.finish({})
    path = run.folder / "config.json"
    path.write_text(path.read_text().replace('"width": 3', '"width": 4'))
    with pytest.raises(sj.DataError, match=r"config\.json is not the config of this run"):
        Run("x", Options(), root=tmp_path)
    with pytest.raises(sj.DataError, match="cannot be written"):
        Run("x", Options(), root=path)


def test_a_done_run_keeps_where_it_was_done(tmp_path):
    Run("x", Options(), root=tmp_path).finish({})
    (path,) = tmp_path.glob("x/*/environment.json")
    path.write_text(path.read_text().replace(jax.__version__, "0.0.1"))
    Run("x", Options(), root=tmp_path).finish({})
    assert records.read(path.parent).environment["jax"] == "0.0.1"


def test_the_commit_is_that_of_the_code_and_not_of_the_folder_one_is_in(here):
    subprocess.run(["git", "init", "-q"], check=True)
    says = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert environment()["commit"] == says.stdout.strip()
    assert environment()["commit"] or says.returncode, "the code is no checkout"


def test_what_works_beside_a_failing_unit_is_kept(tmp_path):
    run = Run("x", Options(), root=tmp_path)

    def slow(folder):
        time.sleep(0.5)
        return [{"value": 1}]

    with pytest.raises(RuntimeError, match="no"):
        run.work({"a": slow, "b": raising(RuntimeError("no"))}, at_once=2)
    assert list(records.read(run.folder).units) == ["a"]


def test_sigterm_between_units_stops_the_run(tmp_path):
    run = Run("x", Options(), root=tmp_path)

    def job(folder):
        with stop_requests(signal.SIGTERM):  # as `fit` does
            os.kill(os.getpid(), signal.SIGTERM)
        return [{"value": 1}]

    with pytest.raises(Stopped):
        run.work({"a": job, "b": raising(RuntimeError("not reached"))})
    record = records.read(run.folder)
    assert (record.status, list(record.units)) == ("stopped", ["a"])


def test_a_training_killed_before_it_was_recorded_gives_the_same_row(here):
    """With a last window that is not full."""
    summary = adding.main(adding.Config(**(TINY | {"steps": 5})))
    (record,) = runs_in(here)
    (record.folder / "metrics.jsonl").unlink()
    (record.folder / "STATUS").write_text("running\n")
    again = adding.main(adding.Config(**(TINY | {"steps": 5})))
    first, second = ({k: v for k, v in s["rows"][0].items() if k != "seconds"} for s in (summary, again))
    assert first == second


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

    rows = grouped([record(4, 4), record(8, 6)], ("steps",))
    assert rows == [{"steps": "4", "seed": 0, "loss": 1.0}, {"steps": "8", "seed": 0, "steps (found)": 6, "loss": 1.0}]


def test_first_below():
    rows = [{"step": 1, "loss": 0.1}, {"step": 2, "evaluation/mse": 0.5}, {"step": 4, "evaluation/mse": 0.1}]
    assert first_below(rows, "mse", 0.2) == 4
    assert first_below(rows, "mse", 0.1) is None


def test_table():
    assert table([["a", "bb"], ["ccc", "d"]]) == "a    bb\n---  --\nccc  d"
