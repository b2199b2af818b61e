"""Archives that are not what they should be."""

import tarfile
import zipfile

import pytest

from seqjax import datasets
from seqjax.datasets.fetch import archives
from seqjax.errors import DataError
from tests import makers
from tests.datasets.tiny import CONTENT, FILES, GOOD, entry, register, texts


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
