"""Checkpoints that are damaged, and processes killed at any moment: nothing acknowledged is lost."""

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


from seqjax import DataError
from seqjax.checkpoint import Checkpoints, _folders
from seqjax.checkpoint._lookup import find_problem, list_entries
from tests.checkpoint.trees import assert_same_bits


def tree(step):
    return {"x": np.full((3, 2), step, np.float32), "y": np.arange(step, step + 4), "n": step}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with steps 1 and 2."""
    folder = tmp_path_factory.mktemp("two")
    for step in (1, 2):
        Checkpoints(folder).save(step, tree(step), {"step": step})
    return folder


@pytest.fixture
def pair(two, tmp_path):
    shutil.copytree(two, tmp_path / "pair")
    return tmp_path / "pair"


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip(path, place=None):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def link(path):
    path.rename(path.parent.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent.parent / "elsewhere")


def folder_instead(path):
    path.unlink()
    path.mkdir()


def pipe_instead(path):
    path.unlink()
    os.mkfifo(path)


def grow(path):
    path.write_bytes(path.read_bytes() + b"\0")


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage", [flip, truncate, grow, os.remove, folder_instead, pipe_instead, link], ids=lambda f: f.__name__
)
def test_damage_to_any_file_is_noticed(two, pair, damage, caplog):
    for name in [path.relative_to(two) for path in files_of(two / "step-2")]:
        if damage in (flip, truncate) and not (two / name).stat().st_size:
            continue
        damage(pair / name)
        caplog.clear()
        step, found, meta = Checkpoints(pair).restore(tree(0))
        assert (step, meta) == (1, {"step": 1})
        assert_same_bits(found, tree(1))
        warned = [r.getMessage() for r in caplog.records if r.name == "seqjax"]
        assert len(warned) == 1
        assert "step-1 is used, as later ones are damaged. step-2: " in warned[0]
        assert str(name.relative_to("step-2")) in warned[0] or damage in (os.remove, folder_instead)
        with pytest.raises(DataError, match="holds no checkpoint of step 2 that can be read. step-2: "):
            Checkpoints(pair).restore(tree(0), step=2)
        if damage is not flip or name.name in ("checkpoint.json", "manifest.txt"):
            assert Checkpoints(pair).steps() == [1]
        shutil.rmtree(pair)
        shutil.copytree(two, pair)


def test_every_bit_counts(pair):
    for name in ("manifest.txt", "checkpoint.json"):
        path = pair / "step-2" / name
        content = path.read_bytes()
        for i in range(0, len(content), 5):
            for bit in (1, 32):
                path.write_bytes(content[:i] + bytes([content[i] ^ bit]) + content[i + 1 :])
                assert find_problem(path.parent, content=False) or find_problem(path.parent), (name, i, bit)
        for length in range(0, len(content), 40):
            path.write_bytes(content[:length])
            assert find_problem(path.parent), (name, length)
        path.write_bytes(content)
        assert find_problem(path.parent) is None


def test_foreign_files_discard_no_checkpoint(pair):
    for folder in (pair, pair / "step-2", *(path for path in (pair / "step-2").rglob("*") if path.is_dir())):
        (folder / ".DS_Store").write_bytes(b"\0")
        (folder / "notes").mkdir()
        (folder / "notes" / "more.txt").symlink_to("/nowhere")
        os.mkfifo(folder / "pipe")
    step, found, _ = Checkpoints(pair).restore(tree(0))
    assert step == 2
    assert_same_bits(found, tree(2))
    Checkpoints(pair, keep=1).save(3, tree(3))
    assert Checkpoints(pair).steps() == [3]


def test_names_never_lead_outside(pair, tmp_path):
    (tmp_path / "secret").write_text("x")
    manifest = pair / "step-2" / "manifest.txt"
    text = f"{'0' * 64} 1 ../../secret\n"
    manifest.write_text(text + _folders._own_line(text))
    assert "../../secret is a link or leads out of the folder" in find_problem(pair / "step-2")
    (pair / "step-1").rename(tmp_path / "moved")
    (pair / "step-1").symlink_to(tmp_path / "moved")
    with pytest.raises(DataError, match="step-1: it is no folder"):
        Checkpoints(pair).restore(tree(0))
    assert Checkpoints(pair).steps() == []


@pytest.mark.parametrize("number", [0, 1, 3, "2"])
def test_another_format_is_named(pair, number):
    header = pair / "step-2" / "checkpoint.json"
    header.write_text(header.read_text().replace('"format": 2', f'"format": {number!r}'.replace("'", '"')))
    (pair / "step-2" / "manifest.txt").unlink()
    _folders.write_manifest(pair / "step-2")
    assert Checkpoints(pair).steps() == [1]
    with pytest.raises(DataError, match=f"it has format {number!r}, and this version of seqjax reads format 2"):
        Checkpoints(pair).restore(tree(0), step=2)


def test_a_foreign_checkpoint_is_named(tmp_path):
    from orbax.checkpoint.experimental import v1 as orbax

    orbax.save(tmp_path / "step-5", {"x": np.zeros(3)})
    assert Checkpoints(tmp_path).steps() == []
    for read in (lambda: Checkpoints(tmp_path).restore({"x": np.zeros(3)}), Checkpoints(tmp_path).latest):
        with pytest.raises(DataError, match="step-5: it cannot be read: manifest.txt is missing"):
            read()
    Checkpoints(tmp_path, keep=1).save(6, {})
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-5", "step-6"]


def test_a_single_checkpoint_can_be_named(pair):
    assert Checkpoints(pair / "step-1").restore(tree(0))[0] == 1
    flip(pair / "step-1" / "checkpoint.json")
    with pytest.raises(DataError, match="step-1: checkpoint.json is damaged"):
        Checkpoints(pair / "step-1").restore(tree(0))


def test_damaged_ones_are_replaced_when_the_run_comes_by(pair):
    Checkpoints(pair).save(3, tree(3))
    for path in (pair / "step-3").rglob("d/*"):
        flip(path)
    assert Checkpoints(pair, keep=2).restore(tree(0))[0] == 2
    Checkpoints(pair, keep=2).save(2, tree(2))  # the later step is damaged, so that it does not count
    assert sorted(p.name for p in pair.glob("step-*")) == ["step-1", "step-2-1", "step-3"]
    Checkpoints(pair, keep=2).save(3, tree(3))
    assert sorted(p.name for p in pair.glob("step-*")) == ["step-2-1", "step-3-1"]
    assert Checkpoints(pair).restore(tree(0))[0] == 3


# --- crashes ----------------------------------------------------------------------------------------------------------


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
        checkpoints.save(step, tree(step))
        done.append(step)
    originals = {name: getattr(os, name) for name in ("fsync", "rename", "unlink", "rmdir")}
    for name, function in originals.items():
        monkeypatch.setattr(os, name, watched(function))
    for step in (3, 3):
        checkpoints.save(step, tree(step))
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
        step, found, _ = Checkpoints(copy).restore(tree(0))
        assert_same_bits(found, tree(step))
        Checkpoints(copy, keep=2).save(4, tree(4))
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
