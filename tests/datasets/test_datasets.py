"""Fetching and keeping data: every way to fail, with a small data set and package managers made on the spot."""

import contextlib
import functools
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from seqjax import datasets
from seqjax.batching.ragged import Ragged
from seqjax.datasets import __main__ as command
from seqjax.datasets import catalogue
from seqjax.datasets.content import Content, Split, pack, unpack
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch import archives, store
from seqjax.datasets.fetch.origins import Original
from seqjax.datasets.fetch.pins import PINS
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from tests import makers

CONTENT = makers.tar({"package/a.txt": b"to be", "package/b.txt": b"or not"})
WORDS = Content({"train": Split(Ragged.of(["to be"])), "test": Split(Ragged.of(["or not"]))}, ("a",), ("b", "c"))


def words(filename, originals):
    files = archives.members(filename, originals[filename], "package/*.txt")
    parts = {"train": files["package/a.txt"], "test": files["package/b.txt"]}
    return Content({name: Split(Ragged.of([text])) for name, text in parts.items()}, ("a",), ("b", "c"))


def entry(content=CONTENT, origin=None, filename="tiny-1.0.tgz"):
    original = Original(filename, sha256(content).hexdigest(), len(content), origin)
    return Entry(
        name="tiny",
        kind="text", title="two texts", licence="none", citation="none", splits="ours", counts={"train": 1, "test": 1},
        originals=(original,), convert=functools.partial(words, filename),
    )  # fmt: skip


def register(monkeypatch, given):
    monkeypatch.setitem(catalogue.CATALOGUE, "tiny", given)
    monkeypatch.setitem(PINS, "tiny", (store.digest(pack(WORDS)), 100))


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The data set "tiny", an empty cache, and a folder with its original."""
    monkeypatch.setenv("SEQJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEQJAX_DATA", str(tmp_path / "data"))
    register(monkeypatch, entry())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tiny-1.0.tgz").write_bytes(CONTENT)
    return tmp_path


def kept(folder):
    return folder / "cache" / catalogue.CATALOGUE["tiny"].filename


def texts(data):
    return data.train.inputs.texts(), data.test.inputs.texts()


GOOD = (["to be"], ["or not"])


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
    object.__setattr__(catalogue.CATALOGUE["tiny"].originals[0], "sha256", "")
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


def test_an_unknown_name():
    with pytest.raises(ArgumentError, match="'mnst' is not known. Perhaps you meant 'mnist'"):
        datasets.load("mnst")


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


# --- archives ---------------------------------------------------------------------------------------------------------


def accept(monkeypatch, folder, content, filename="tiny-1.0.tgz"):
    """Make the checksum fit, so that the reading of the archive itself is on trial."""
    (folder / "data" / filename).write_bytes(content)
    register(monkeypatch, entry(content, filename=filename))


def liar(content):
    """A zip whose directory says 5 bytes where there are many more."""
    data = bytearray(makers.wheel({"package/a.txt": b"x" * 1000, "package/b.txt": b"y"}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (5).to_bytes(4, "little")
    return bytes(data)


def encrypted():
    data = bytearray(makers.wheel({"package/a.txt": b"x", "package/b.txt": b"y"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    return bytes(data)


def negative():
    content = bytearray(makers.deb(FILES))
    content[8 + 48 : 8 + 58] = b"-60       "
    return bytes(content)


FILES = {"package/a.txt": b"to be", "package/b.txt": b"or not"}
LARGE = {"package/a.txt": b"0" * 2_000_001, "package/b.txt": b""}


@pytest.mark.parametrize(
    "filename, content, message",
    [
        ("t.tgz", b"not a tar at all", "no readable archive"),
        ("t.whl", b"not a zip at all", "no readable archive"),
        ("t.deb", b"not a package at all", "no Debian package"),
        ("t.deb", b"!<arch>\n" + b"x" * 60, "no readable archive"),
        ("t.deb", b"!<arch>\n", "no Debian package"),
        ("t.tgz", CONTENT[:60], "no readable archive"),
        ("t.whl", makers.wheel(FILES)[:-30], "no readable archive"),
        ("t.deb", makers.deb(FILES)[:-90], "cut short or damaged"),

        ("t.tgz", makers.tar({"other/a.txt": b"one"}), r"holds no package/\*.txt"),
        ("t.tgz", makers.tar(LARGE), "holds more than 2000000 bytes"),
        ("t.whl", makers.wheel(LARGE), "holds more than 2000000 bytes"),
        ("t.whl", liar(FILES), "no readable archive"),
        ("t.whl", encrypted(), "no readable archive"),
        ("t.deb", negative(), "cut short or damaged"),
        ("t.tgz", makers.tar({**FILES, "skipped": b"0" * 5_000_000}), "unpacks to more than 4000000 bytes"),
        ("t.tgz", makers.tar({**FILES, "../../x.txt": b""}), "leaves its folder"),
        ("t.tgz", makers.tar({**FILES, "/etc/cron.d/x": b""}), "leaves its folder"),
        ("t.whl", makers.wheel({**FILES, "package/../../x.txt": b""}), "leaves its folder"),
        ("t.deb", makers.deb({**FILES, "./../x": b""}), "leaves its folder"),
    ],
    ids=lambda v: v[:20] if isinstance(v, str) else "",
)  # fmt: skip
def test_an_archive_that_is_not_what_it_should_be(tiny, monkeypatch, filename, content, message):
    monkeypatch.setattr(archives, "STREAM_LIMIT", 4_000_000)
    monkeypatch.setattr(archives.members, "__kwdefaults__", {"limit": 2_000_000})
    accept(monkeypatch, tiny, content, filename)
    with pytest.raises(DataError, match=message):
        datasets.load("tiny")
    assert list((tiny / "cache").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_not_followed(tiny, monkeypatch, kind):
    accept(monkeypatch, tiny, makers.tar(FILES, [("package/z.txt", "/etc/passwd", kind)]))
    read = archives.members("tiny-1.0.tgz", (tiny / "data" / "tiny-1.0.tgz").read_bytes(), "package/*")
    assert read == FILES
    assert texts(datasets.load("tiny")) == GOOD


def test_links_in_zips_are_not_followed():
    info = zipfile.ZipInfo("package/z.txt")
    info.external_attr = 0o120777 << 16
    assert archives.members("t.whl", makers.wheel({**FILES, info: b"/etc/passwd"}), "package/*") == FILES


@pytest.mark.parametrize("name", ["x.gz", "x.xz", "x.bz2"])
def test_compressed_files(name):
    import bz2
    import gzip
    import lzma

    packed = {"gz": gzip, "xz": lzma, "bz2": bz2}[name[2:]].compress(b"0" * 1000)
    assert archives.unpack(name, packed) == b"0" * 1000
    with pytest.raises(DataError, match="holds more than 999 bytes"):
        archives.unpack(name, packed, limit=999)
    for wrong in (packed[:-5], b"odd", packed[:20] + b"\xff" + packed[21:]):
        with pytest.raises(DataError, match=f"{name} is damaged"):
            archives.unpack(name, wrong)


def test_a_conversion_that_gives_other_values(tiny, monkeypatch):
    monkeypatch.setitem(PINS, "tiny", ("0" * 64, 100))
    with pytest.raises(DataError, match="tiny: the conversion gave other values"):
        datasets.load("tiny")
    assert list((tiny / "cache").iterdir()) == []


def test_another_number_of_examples(tiny, monkeypatch):
    object.__setattr__(catalogue.CATALOGUE["tiny"], "counts", {"train": 2, "test": 1})
    with pytest.raises(DataError, match=r"tiny: found {'train': 1, 'test': 1} examples, expected {'train': 2"):
        datasets.load("tiny")


# --- processes --------------------------------------------------------------------------------------------------------


def child(tmp_path, body, **environment):
    script = (
        "import os, signal, sys, time\nfrom tests.datasets import test_datasets as t\nfrom seqjax import datasets\n"
    )
    script += "from seqjax.datasets import catalogue\nfrom seqjax.datasets.fetch import store\nfrom seqjax.datasets.fetch.pins import PINS\n"
    script += "catalogue.CATALOGUE['tiny'] = t.entry()\nPINS['tiny'] = (store.digest(t.pack(t.WORDS)), 100)\n" + body
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent), **environment}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once(tiny):
    body = (
        "open(os.environ['SEQJAX_DATA'] + f'/{os.getpid()}.here', 'w').close()\n"
        "while len([n for n in os.listdir(os.environ['SEQJAX_DATA']) if n.endswith('.here')]) < 2: time.sleep(0.001)\n"
        "for _ in range(50):\n"
        "    path = store.cache_folder() / t.entry().filename\n"
        "    path.unlink(missing_ok=True)\n"
        "    catalogue._make(t.entry(), print)\n"
        "assert t.texts(datasets.load('tiny')) == t.GOOD\nprint('good')\n"
    )
    both = [child(tiny, body) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [words.split()[-1:] for words in said] == [["good"], ["good"]]
    assert [path.name for path in (tiny / "cache").iterdir()] == [kept(tiny).name]


def test_killed_while_writing(tiny):
    body = (
        "def half(file, **arrays):\n    file.write(b'PK half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.np.savez_compressed = half\ndatasets.load('tiny')\n"
    )
    process = child(tiny, body)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert [path.suffix for path in (tiny / "cache").iterdir()] == [".part"] and not kept(tiny).exists()
    assert texts(datasets.load("tiny")) == GOOD


# --- what a user holds ------------------------------------------------------------------------------------------------


def test_splits(tiny):
    data = datasets.load("tiny")
    with pytest.raises(
        ArgumentError, match=r"tiny has no split 'valid'; it has train, test. Take a part of train: .*hold_out"
    ):
        data.valid  # noqa: B018
    assert "two texts" in repr(data) and "licence: none" in repr(data)
    split = Split(np.arange(12).reshape(6, 2, 1), np.arange(6), np.zeros(6, np.int32))
    head, tail = split[:-2], split[np.array([5, 0])]
    assert (len(head), len(tail), head.steps) == (4, 2, 8) and tail.targets.tolist() == [5, 0]
    rest, held = split.hold_out(2, seed=1)
    assert sorted([*rest.targets, *held.targets]) == list(range(6)) and len(held) == 2
    assert held.targets.tolist() == split.hold_out(2, seed=1)[1].targets.tolist()
    assert len({tuple(split.hold_out(2, seed=s)[1].targets) for s in range(20)}) > 5
    for count in (0, 6, 7):
        with pytest.raises(ArgumentError, match=r"count must be in \[1, 5\]"):
            split.hold_out(count)
    with pytest.raises(
        ArgumentTypeError, match=r"count must be a whole number, found 0.3. A share\? Write hold_out\(2\)"
    ):
        split.hold_out(0.3)
    for count in (2.0, "2", None, True):
        with pytest.raises(ArgumentTypeError, match="count must be a whole number"):
            split.hold_out(count)
    with pytest.raises(ArgumentTypeError, match="seed"):
        split.hold_out(2, seed=0.5)
    with pytest.raises(ArgumentError, match=r"split\[2:3\]"):
        split[2]
    with pytest.raises(ArgumentError, match="targets has 2 examples, expected 3"):
        Split(np.zeros((3, 1)), np.zeros(2))


def test_packing_is_undone_by_unpacking():
    content = Content(
        {
            "train": Split(Ragged.of([np.ones((2, 3)), np.ones((0, 3))]), Ragged.of(["é", ""]), np.array([1, 2])),
            "test": Split(np.zeros((1, 4))),
        },
        ("x", "ü"),
    )
    again = unpack(pack(content))
    assert list(again.splits) == ["train", "test"] and again.input_names == ("x", "ü")
    assert again.splits["train"].targets.texts() == ["é", ""] and again.splits["train"].inputs.lengths.tolist() == [
        2,
        0,
    ]
    assert again.splits["test"].targets is None
    assert store.digest(pack(again)) == store.digest(pack(content))


def test_the_digest_sees_every_change():
    base = {"a": np.arange(4, dtype=np.int32), "b": np.zeros(0)}
    others = [
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"].astype(np.int64), "b": base["b"]},
        {"a": base["a"].reshape(2, 2), "b": base["b"]},
        {"a": base["a"] + np.int32([0, 0, 0, 1]), "b": base["b"]},
        {"a": base["a"]},
    ]
    assert len({store.digest(arrays) for arrays in [base, *others]}) == 6
    swapped = {"a": base["a"].astype(">i4"), "b": base["b"]}
    strided = {"a": np.repeat(base["a"], 2)[::2], "b": base["b"]}
    assert store.digest(swapped) == store.digest(strided) == store.digest(base)


@pytest.mark.parametrize("name", datasets.names())
def test_every_entry_is_complete(name):
    known = catalogue.find(name)
    assert known.title and known.licence and known.citation and known.splits and known.counts
    assert set(known.counts) <= {"train", "valid", "test"} and min(known.counts.values()) > 0
    for original in known.originals:
        assert original.size > 0
        assert (
            len(original.sha256) == 64 and int(original.sha256, 16)
        ) or original.filename == "free_spoken_digits.zip"
    digest, size = PINS[name]
    assert len(digest) == 64 and size > 0


def test_the_catalogue_has_no_strangers():
    assert set(PINS) == set(catalogue.CATALOGUE)
    assert len({entry.digest for entry in catalogue.CATALOGUE.values()}) == len(PINS)
    assert sum(len(family.ENTRIES) for family in catalogue.FAMILIES) == len(PINS), "two of one name"


def test_sets_of_one_package_are_made_together(tiny, monkeypatch):
    for name, digest, size in (
        ("twin", store.digest(pack(WORDS)), 100),
        ("bad", "0" * 64, 100),
        ("big", "1" * 64, 10**8),
    ):
        monkeypatch.setitem(catalogue.CATALOGUE, name, Entry(**{**vars(entry()), "name": name}))
        monkeypatch.setitem(PINS, name, (digest, size))
    assert texts(datasets.load("tiny")) == GOOD, "that another one fails does not matter"
    assert sorted(path.name.split("-")[0] for path in (tiny / "cache").iterdir()) == ["tiny", "twin"]
    (tiny / "data" / "tiny-1.0.tgz").unlink()
    assert texts(datasets.load("twin")) == GOOD


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command(tiny, capsys):
    assert command.main([]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in datasets.names()) and str(tiny / "cache") in listing
    (line,) = (line for line in listing.splitlines() if line.startswith("tiny"))
    assert line.split()[:6] == ["tiny", "1", "+", "1", "0.0", "-"]
    assert command.main(["verify", "tiny"]) == 0 and "nothing is kept" in capsys.readouterr().out
    assert command.main(["verify"]) == 0 and "FAILED" not in capsys.readouterr().out
    assert (
        command.main(["fetch", "tiny"]) == 0
        and "fetched: train 1 (5 steps), test 1 (6 steps)" in capsys.readouterr().out
    )
    assert command.main(["fetch", "tiny"]) == 0 and "kept already" in capsys.readouterr().out
    assert command.main(["verify", "tiny"]) == 0 and "good: train 1" in capsys.readouterr().out
    assert command.main(["show", "tiny"]) == 0 and "sha256" in capsys.readouterr().out
    flipped(kept(tiny))
    assert command.main(["verify", "tiny"]) == 1 and "FAILED: " in capsys.readouterr().out
    assert command.main(["fetch", "shakespear"]) == 2 and "Perhaps you meant 'shakespeare'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        command.main(["frobnicate"])
    assert end.value.code == 2
