"""What is kept is whole and checked, or is refused."""

import contextlib
import dataclasses
import os
import resource
import signal
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from seqjax import datasets
from seqjax.datasets import catalogue
from seqjax.datasets.fetch import store
from seqjax.errors import DataError
from tests import makers
from tests.datasets.tiny import FILES, GOOD, entry, kept, register, texts


def test_an_original_is_found_converted_kept_and_then_offline(tiny):
    data = datasets.load("tiny")
    assert texts(data) == GOOD and data.input_names == ("a",) and data.target_names == ("b", "c")
    (tiny / "data" / "tiny-1.0.tgz").unlink()
    again = datasets.load("tiny")
    assert texts(again) == GOOD and again.target_names == ("b", "c") and again.group_names == ()
    assert [path.name for path in (tiny / "cache").iterdir()] == [kept(tiny).name]


def test_the_first_load_is_like_all_others(tiny):
    first, second = datasets.load("tiny"), datasets.load("tiny")
    for data in (first, second):
        assert data.train.inputs.values.flags.writeable
        data.train.inputs.values[:] = 0
    assert texts(datasets.load("tiny")) == GOOD


def test_every_flipped_bit_of_a_kept_copy_is_noticed(tiny):
    datasets.load("tiny")
    good = kept(tiny).read_bytes()
    for place in range(0, 8 * len(good), 7):
        content = bytearray(good)
        content[place // 8] ^= 1 << place % 8
        kept(tiny).write_bytes(bytes(content))
        with contextlib.suppress(DataError):  # all that may come; a bit of the archive that means nothing may go
            assert texts(datasets.load("tiny")) == GOOD


def test_an_original_without_a_checksum_is_judged_by_its_content(tiny, monkeypatch):
    (original,) = entry().originals
    register(monkeypatch, entry(originals=(dataclasses.replace(original, sha256=""),)))
    path = tiny / "data" / "tiny-1.0.tgz"
    path.write_bytes(makers.tar({"x": b"another archive", **FILES}))
    assert texts(datasets.load("tiny")) == GOOD
    kept(tiny).unlink()
    path.write_bytes(makers.tar({**FILES, "package/a.txt": b"to bee"}))
    with pytest.raises(DataError, match="the conversion gave other values"):
        datasets.load("tiny")


def test_folders_that_are_none(tiny, monkeypatch):
    monkeypatch.setenv("SEQJAX_DATA", str(tiny / "typo"))
    with pytest.raises(DataError, match=r"SEQJAX_DATA is .*typo, which is no folder"):
        datasets.load("tiny")
    monkeypatch.setenv("SEQJAX_CACHE", "~/somewhere")
    monkeypatch.setenv("HOME", str(tiny))
    assert store.cache_folder() == tiny / "somewhere"
    monkeypatch.setattr(Path, "expanduser", lambda path: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(DataError, match="no home folder to keep data in"):
        store.cache_folder()


def test_a_copy_that_may_not_be_read_is_not_called_damaged(tiny, monkeypatch):
    datasets.load("tiny")

    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.zipfile, "ZipFile", refused)
    with pytest.raises(DataError, match=r"cannot be read: Permission denied. Set SEQJAX_CACHE") as caught:
        datasets.load("tiny")
    assert "Delete" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-10], lambda b: b"", lambda b: b[:50] + b"\0" + b[51:]])
def test_a_damaged_original(tiny, damage):
    path = tiny / "data" / "tiny-1.0.tgz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"tiny-1.0.tgz is damaged.*expected .*Replace it or unset SEQJAX_DATA"):
        datasets.load("tiny")
    assert list((tiny / "cache").iterdir()) == []


def disguised(path):
    np.savez(path, x=np.array([{"a": 1}], object), allow_pickle=True)


def raw_pickle(path):
    path.write_bytes(b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.")


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(bytes(content))


def another(path):
    np.savez_compressed(path, **{"train.inputs": np.zeros(3)})


def no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def bomb(path):
    np.savez_compressed(path, x=np.zeros(10_000_000))


def lying_header(path):
    with zipfile.ZipFile(path, "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@pytest.mark.parametrize(
    "damage",
    [
        disguised,
        raw_pickle,
        half,
        flipped,
        another,
        no_array,
        bomb,
        lying_header,
        lambda p: p.write_bytes(b""),
    ],
)
def test_a_damaged_copy_is_named_refused_and_left_alone(tiny, damage):
    datasets.load("tiny")
    damage(kept(tiny))
    before = kept(tiny).read_bytes()
    with pytest.raises(DataError, match=r"tiny-\w{8}.npz (is damaged|holds 80000128 bytes).*Delete it"):
        datasets.load("tiny")
    assert kept(tiny).read_bytes() == before
    kept(tiny).unlink()
    assert texts(datasets.load("tiny")) == GOOD


def test_a_kept_copy_needs_no_writing(tiny, monkeypatch):
    datasets.load("tiny")

    def forbidden(*args, **kwargs):
        raise AssertionError("the cache was written")

    for name in ("write_atomically", "check_writable"):
        monkeypatch.setattr(store, name, forbidden)
    assert texts(datasets.load("tiny")) == GOOD


@pytest.mark.parametrize("place", ["/proc/no/such", "file"])
def test_a_cache_that_cannot_be_written_is_named_before_anything_is_fetched(tiny, monkeypatch, place):
    (tiny / "file").write_text("a file where a folder should be")
    monkeypatch.setenv("SEQJAX_CACHE", str(tiny / place))
    monkeypatch.setattr(catalogue, "obtain", lambda *args: pytest.fail("it was fetched"))
    with pytest.raises(DataError, match=r"cannot be written: .*Set SEQJAX_CACHE to a folder that can"):
        datasets.load("tiny")


def test_a_full_disk_leaves_nothing_half_written(tiny):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(DataError, match=r"cannot be written: File too large"):
            datasets.load("tiny")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((tiny / "cache").iterdir()) == []
    assert texts(datasets.load("tiny")) == GOOD


def test_what_killed_writers_left_is_swept_after_a_day(tiny):
    (tiny / "cache").mkdir()
    old, young, foreign = (
        tiny / "cache" / name for name in (f"{kept(tiny).name}.1.part", f"{kept(tiny).name}.2.part", "x.part")
    )
    for path in (old, young, foreign):
        path.write_bytes(b"half")
    for path in (old, foreign):
        os.utime(path, (time.time() - 90_000,) * 2)
    datasets.load("tiny")
    assert (old.exists(), young.exists(), foreign.exists()) == (False, True, True)
