"""Processes killed at any moment: nothing acknowledged is lost."""

import os
import shutil
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

from seqjax.checkpoint import Checkpoints
from seqjax.checkpoint._lookup import find_problem, list_entries
from tests.checkpoint.trees import assert_same_bits, small_tree


def test_the_folder_is_right_at_every_moment(tmp_path, monkeypatch):
    """A copy of the folder before every change to it, as a kill there would leave it; each is then gone on with."""
    folder, copies = tmp_path / "run", []

    def watched(function):
        def before(*args, **kwargs):
            acknowledged = done[-1] if done else None
            copies.append((acknowledged, tmp_path / f"copy{len(copies)}"))
            shutil.copytree(folder, copies[-1][1], symlinks=True)
            with monkeypatch.context() as inner:
                for name, original in originals.items():
                    inner.setattr(os, name, original)
                return function(*args, **kwargs)

        return before

    checkpoints, done = Checkpoints(folder, keep=2), []
    for step in (1, 2):
        checkpoints.save(step, small_tree(step))
        done.append(step)
    originals = {name: getattr(os, name) for name in ("fsync", "rename", "unlink", "rmdir")}
    for name, function in originals.items():
        monkeypatch.setattr(os, name, watched(function))
    for step in (3, 3):
        checkpoints.save(step, small_tree(step))
        done.append(step)
    monkeypatch.undo()

    halves = 0
    for acknowledged, copy in copies:
        left = Checkpoints(copy, keep=2)
        steps = left.steps()
        assert len(steps) >= 2
        assert steps[-1] >= acknowledged
        assert all(find_problem(entry.path) is None for entry in list_entries(copy)), copy
        halves += any(p.name.startswith(".step") for p in copy.iterdir())
    assert len(copies) > 60
    assert halves > 40
    for _, copy in copies[:: len(copies) // 12]:
        step, found, _ = Checkpoints(copy).restore(small_tree(0))
        assert_same_bits(found, small_tree(step))
        Checkpoints(copy, keep=2).save(4, small_tree(4))
        assert Checkpoints(copy).steps() == [step, 4]
        assert len(list(copy.iterdir())) == 3  # these two and the lock


def trial(folder, acknowledged, delay):
    """Start or go on, kill so long after the first acknowledged save, and say what was acknowledged."""
    before = len(acknowledged.read_text().split()) if acknowledged.exists() else 0
    words = [sys.executable, "-m", "tests.checkpoint.training", str(folder), str(acknowledged)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 120
        while not acknowledged.exists() or len(acknowledged.read_text().split()) == before:
            assert child.poll() is None, child.communicate()[0].decode()
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    return [int(line) for line in acknowledged.read_text().split("\n")[:-1]]


@pytest.mark.parametrize("trials", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_kill_9_at_any_moment(tmp_path, trials):
    from tests.checkpoint.training import SMALL, start, train

    folder, draw = tmp_path / "run", np.random.default_rng(trials)
    expected = [start(SMALL, jnp.float32)]
    leftovers = 0
    for _ in range(trials):
        acknowledged = trial(folder, tmp_path / "acknowledged", draw.uniform(0, 0.5))
        checkpoints = Checkpoints(folder, keep=2)
        steps = checkpoints.steps()
        assert steps[-1] >= acknowledged[-1]
        assert all(find_problem(entry.path) is None for entry in list_entries(folder))
        assert len(steps) >= min(2, acknowledged[-1])
        leftovers += bool(list(folder.glob(".step-*")))
        while len(expected) <= steps[-1]:
            expected.append(train(SMALL, expected[-1]))
        for step in steps:
            assert_same_bits(checkpoints.restore(expected[0], step)[1], expected[step])
        # The next life began at what was there, not before: no acknowledged step is done twice.
        assert acknowledged == sorted(set(acknowledged))
    print(f"{trials} kills, {leftovers} left something half-written, {acknowledged[-1]} steps acknowledged")
