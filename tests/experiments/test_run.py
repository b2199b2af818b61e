"""The folder of a run: its pieces of work, its lock, stopping, killing and going on."""

import itertools
import os
import signal
import subprocess
import time

import jax
import pytest

import seqjax as sj
from experiments.harness import records
from experiments.harness.environment import environment
from experiments.harness.folder import folder_of
from experiments.harness.run import Run, Stopped
from seqjax._internal.signals import stop_requests
from tests.experiments.makers import Options, raising
from tests.test_style import ROOT


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


def test_another_config_is_another_folder(tmp_path):
    """The hash is of the options, and the seed stands beside it."""
    options = (Options(), Options(seed=1), Options(width=4))
    names = [folder_of("x", config, tmp_path).name.split("-") for config in options]
    assert names[0][0] == names[1][0] != names[2][0]
    assert [seed for _, seed in names] == ["s0", "s1", "s0"]


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


def test_an_interrupt_of_units_side_by_side_begins_no_other(tmp_path):
    """After ^C it went through all that was queued, and said running the while."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores ^C
    run = Run("x", Options(), root=tmp_path)
    numbers, begun = itertools.count(1), []

    def job(folder):
        begun.append(number := next(numbers))
        time.sleep(0.3)
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        return []

    try:
        with pytest.raises(KeyboardInterrupt):
            run.work(dict.fromkeys("abcdef", job), at_once=2)
    finally:
        signal.signal(signal.SIGINT, former)
    assert records.read(run.folder).status == "stopped"
    assert len(begun) <= 3
