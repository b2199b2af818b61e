"""Checkpoints that are damaged are noticed, whatever the damage, and none is discarded for files of others."""

import os
import shutil

import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

from seqjax import DataError
from seqjax.checkpoint import Checkpoints, _folders
from seqjax.checkpoint._lookup import find_problem
from tests.checkpoint.trees import assert_same_bits, small_tree


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with steps 1 and 2."""
    folder = tmp_path_factory.mktemp("two")
    for step in (1, 2):
        Checkpoints(folder).save(step, small_tree(step), {"step": step})
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


@pytest.mark.parametrize(
    "damage", [flip, truncate, grow, os.remove, folder_instead, pipe_instead, link], ids=lambda f: f.__name__
)
def test_damage_to_any_file_is_noticed(two, pair, damage, caplog):
    for name in [path.relative_to(two) for path in files_of(two / "step-2")]:
        if damage in (flip, truncate) and not (two / name).stat().st_size:
            continue
        damage(pair / name)
        caplog.clear()
        step, found, meta = Checkpoints(pair).restore(small_tree(0))
        assert (step, meta) == (1, {"step": 1})
        assert_same_bits(found, small_tree(1))
        warned = [r.getMessage() for r in caplog.records if r.name == "seqjax"]
        assert len(warned) == 1
        assert "step-1 is used, as later ones are damaged. step-2: " in warned[0]
        assert str(name.relative_to("step-2")) in warned[0] or damage in (os.remove, folder_instead)
        with pytest.raises(DataError, match="holds no checkpoint of step 2 that can be read. step-2: "):
            Checkpoints(pair).restore(small_tree(0), step=2)
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
    step, found, _ = Checkpoints(pair).restore(small_tree(0))
    assert step == 2
    assert_same_bits(found, small_tree(2))
    Checkpoints(pair, keep=1).save(3, small_tree(3))
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
        Checkpoints(pair).restore(small_tree(0))
    assert Checkpoints(pair).steps() == []


@pytest.mark.parametrize("number", [0, 1, 3, "2"])
def test_another_format_is_named(pair, number):
    header = pair / "step-2" / "checkpoint.json"
    header.write_text(header.read_text().replace('"format": 2', f'"format": {number!r}'.replace("'", '"')))
    (pair / "step-2" / "manifest.txt").unlink()
    _folders.write_manifest(pair / "step-2")
    assert Checkpoints(pair).steps() == [1]
    with pytest.raises(DataError, match=f"it has format {number!r}, and this version of seqjax reads format 2"):
        Checkpoints(pair).restore(small_tree(0), step=2)


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
    assert Checkpoints(pair / "step-1").restore(small_tree(0))[0] == 1
    flip(pair / "step-1" / "checkpoint.json")
    with pytest.raises(DataError, match="step-1: checkpoint.json is damaged"):
        Checkpoints(pair / "step-1").restore(small_tree(0))


def test_damaged_ones_are_replaced_when_the_run_comes_by(pair):
    Checkpoints(pair).save(3, small_tree(3))
    for path in (pair / "step-3").rglob("d/*"):
        flip(path)
    assert Checkpoints(pair, keep=2).restore(small_tree(0))[0] == 2
    Checkpoints(pair, keep=2).save(2, small_tree(2))  # the later step is damaged, so that it does not count
    assert sorted(p.name for p in pair.glob("step-*")) == ["step-1", "step-2-1", "step-3"]
    Checkpoints(pair, keep=2).save(3, small_tree(3))
    assert sorted(p.name for p in pair.glob("step-*")) == ["step-2-1", "step-3-1"]
    assert Checkpoints(pair).restore(small_tree(0))[0] == 3
