"""The command line of an experiment: several seeds one after the other, however the process is ended."""

import os
import signal
import subprocess
import sys

import pytest

from experiments.harness import records
from experiments.harness.command import run_seeds
from experiments.harness.run import Stopped
from seqjax.errors import ArgumentError
from tests.experiments.makers import Options
from tests.test_style import ROOT

pytest.importorskip("tyro", reason="tyro is not installed (extra: experiments)")

TINY = "--cell GRU(2) --length 6 --steps 2 --batch-size 4 --every 1 --evaluation 10 --seeds 0 1"


def statuses(folder):
    return [record.status for record in records.every(folder / "runs")[0]]


def command(folder, **streams):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.adding", *TINY.split()], cwd=folder, env=environment, **streams
    )


def test_all_seeds_are_run_though_nobody_reads_what_they_print(here):
    """`--seeds 0 1 2 2>&1 | head` once ended after seed 1: its next line could not be written, nor the reason."""
    reader, writer = os.pipe()
    process = command(here, stdout=writer, stderr=writer)
    os.close(writer)
    os.close(reader)
    assert process.wait(300) == 0
    assert statuses(here) == ["done"] * 2


@pytest.mark.slow  # all seeds are run above
def test_seeds_are_announced(here):
    process = command(here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert [line for line in told.splitlines() if line.startswith("seed ")] == [
        f"seed {i} ({i + 1} of 2)" for i in range(2)
    ]
    assert said.count("GRU(2)") == 2


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), RuntimeError("no"), Stopped("asked")], ids=repr)
def test_however_it_ends_the_seeds_that_are_left_are_named(capsys, error):
    done = []

    def main(config):
        if config.seed == 1:
            raise error
        done.append(config.seed)

    with pytest.raises(type(error)):
        run_seeds(main, Options(), (0, 1, 2))
    assert done == [0]
    assert capsys.readouterr().err.endswith("not finished: seeds 1 2\n")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP], ids=lambda sign: sign.name)
def test_a_signal_at_the_end_of_a_run_begins_no_other(capsys, sign):
    """It once was forgotten, or, between two runs, ended the process without a word."""
    done = []

    def main(config):
        os.kill(os.getpid(), sign)
        done.append(config.seed)

    with pytest.raises(Stopped, match="the same command goes on"):
        run_seeds(main, Options(), (0, 1, 2))
    assert done == [0]
    assert capsys.readouterr().err.endswith("not finished: seeds 1 2\n")


def test_a_seed_that_is_given_twice_is_refused():
    with pytest.raises(ArgumentError, match="seeds: 0 is given twice"):
        run_seeds(lambda config: None, Options(), (0, 1, 0))


def test_sigterm_after_the_last_seed_is_no_error():
    run_seeds(lambda config: os.kill(os.getpid(), signal.SIGTERM), Options(), (0,))
