"""Which checkpoints are kept in a folder, and what a full or closed disk does."""

import resource
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

from seqjax import ArgumentError, DataError
from seqjax.checkpoint import Checkpoints, _folders
from tests.checkpoint.trees import assert_same_bits, zeros_like


def test_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in range(5):
        checkpoints.save(step, {})
        assert checkpoints.steps() == [max(step - 1, 0), step][-min(step + 1, 2) :]
        assert checkpoints.latest() == step


def test_a_step_saved_again_replaces_the_former_one(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for value in range(3):
        checkpoints.save(4, {"n": value}, {"value": value})
        assert checkpoints.restore({"n": 0}) == (4, {"n": value}, {"value": value})
        assert checkpoints.steps() == [4]
        assert len(list(tmp_path.glob("step-*"))) == 1


def test_a_folder_with_later_steps_is_not_written(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, {})
    with pytest.raises(ArgumentError, match=r"step 4 comes before step 5 .* Save into another folder"):
        checkpoints.save(4, {})
    with pytest.raises(ArgumentError, match=r"is one checkpoint; name the folder that holds it"):
        Checkpoints(tmp_path / "step-5").save(6, {})
    assert checkpoints.steps() == [5]


def test_one_writer_at_a_time(tmp_path, monkeypatch):
    def inside(*_):
        with pytest.raises(ArgumentError, match="another process is saving there"):
            Checkpoints(tmp_path).save(1, {})

    monkeypatch.setattr("seqjax.checkpoint.checkpoints.write_arrays", inside)
    Checkpoints(tmp_path).save(0, {})
    monkeypatch.undo()
    Checkpoints(tmp_path).save(1, {})
    assert Checkpoints(tmp_path).steps() == [0, 1]


def test_relative_paths_stay_where_they_were(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("runs/a")
    monkeypatch.chdir("/")
    checkpoints.save(0, {"n": np.arange(2)})
    assert Checkpoints(tmp_path / "runs" / "a").steps() == [0]


@pytest.mark.parametrize("limit", [100, 700, 100_000])
def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path, limit):
    checkpoints = Checkpoints(tmp_path)
    tree = {"x": np.random.default_rng(0).normal(size=100_000)}
    checkpoints.save(1, tree)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        with pytest.raises(DataError, match=r"cannot be written: (?s:.*)File too large(?s:.*)Is there room"):
            checkpoints.save(2, tree)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "step-1"]
    assert_same_bits(checkpoints.restore(zeros_like(tree))[1], tree)
    checkpoints.save(2, tree)
    assert checkpoints.steps() == [1, 2]


def test_a_disk_that_is_really_full(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        checkpoints = Checkpoints(tmp_path, keep=9)
        tree = {"x": np.random.default_rng(0).normal(size=30_000)}  # 240 kB
        full = 0
        while not full:
            step = len(checkpoints.steps())
            try:
                checkpoints.save(step, tree)
            except DataError as error:
                full = "No space left on device" in str(error)
                assert full
        assert checkpoints.steps() == list(range(step))
        assert step >= 1
        assert_same_bits(checkpoints.restore(zeros_like(tree))[1], tree)
        Checkpoints(tmp_path, keep=1).save(step, {"n": 1})
        assert checkpoints.steps() == [step]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("place", ["/proc/no/such", "file", "file/below"])
def test_a_folder_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written: .*Is there room, and may it be written"):
        Checkpoints(tmp_path / place).save(0, {"x": np.zeros(3)})
    with pytest.raises(DataError, match="holds no checkpoint: there is no such folder"):
        Checkpoints(tmp_path / place).restore({})
    assert Checkpoints(tmp_path / place).latest() is None


def test_without_orbax(tmp_path, monkeypatch):
    Checkpoints(tmp_path / "saved").save(3, np.ones(3))
    monkeypatch.setitem(sys.modules, "orbax.checkpoint.experimental", None)
    for call in (Checkpoints(tmp_path / "new").save, Checkpoints(tmp_path / "saved").restore):
        with pytest.raises(DataError, match=r"not installed: pip install 'seqjax\[train\]'"):
            call(*((0, np.ones(3)) if call.__name__ == "save" else (np.ones(3),)))
    assert Checkpoints(tmp_path / "new").latest() is None


def test_what_cannot_be_removed_is_told_and_the_save_stands(tmp_path, monkeypatch, caplog):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(0, {})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_folders, "remove", refuse)
    checkpoints.save(1, {})
    assert [r.getMessage() for r in caplog.records if r.name == "seqjax"] == [
        f"{tmp_path / 'step-0'} is no longer needed, but cannot be removed: [Errno 13] Permission denied"
    ]
    monkeypatch.undo()
    assert checkpoints.steps() == [0, 1]
    checkpoints.save(2, {})
    assert checkpoints.steps() == [2]
