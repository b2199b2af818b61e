"""Reading archives in memory: named files only, no links, no paths outside, no more bytes than allowed."""

import bz2
import functools
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import IO, Any

from seqjax.errors import DataError

MEMBER_LIMIT = 250_000_000
STREAM_LIMIT = 400_000_000
DEB_DATA = ("data.tar.xz", "data.tar.gz")
Unpacked = tuple[str, int, Callable[[], bytes]]
"""Name, size, and what reads the content."""


def members(filename: str, content: bytes, *patterns: str, limit: int = MEMBER_LIMIT) -> dict[str, bytes]:
    """Contents of the regular files of an archive that match a pattern (`fnmatch`), by name.

    filename: its ending tells the format: .whl, .zip, .tgz, .tar.gz or .deb.

    Raises:
        DataError: the archive cannot be read, a path in it leaves its folder, a pattern matches nothing, or the files
            hold more than `limit` bytes together.
    """
    found: dict[str, bytes] = {}
    total = 0
    try:
        for name, size, read in _files(filename, content):
            if ".." in PurePosixPath(name).parts or name.startswith(("/", "\\")):
                raise DataError(f"{filename} holds a path that leaves its folder: {name!r}. It is not to be trusted")
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                total += size
                if total > limit:
                    raise DataError(f"{filename} holds more than {limit} bytes; it is not what it should be")
                found[name] = read()
    except DataError:
        raise
    except Exception as error:  # content of any kind can lead the readers of archives to raise anything
        raise DataError(f"{filename} is no readable archive: {error!r}") from error
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in found):
            raise DataError(f"{filename} holds no {pattern}")
    return found


def member(filename: str, content: bytes, name: str, limit: int = MEMBER_LIMIT) -> bytes:
    """The content of one file of an archive; `name` may be a pattern that matches one.

    Raises:
        DataError: as `members`.
    """
    found = members(filename, content, name, limit=limit)
    if len(found) > 1:
        raise DataError(f"{filename} holds {len(found)} of {name}, expected one")
    return next(iter(found.values()))


def unpack(filename: str, content: bytes, limit: int = MEMBER_LIMIT) -> bytes:
    """A file compressed as .gz, .xz or .bz2.

    Raises:
        DataError: it is damaged, or holds more than `limit` bytes.
    """
    try:
        unpacked: bytes = _open_compressed(filename, content).read(limit + 1)
    except Exception as error:
        raise DataError(f"{filename} is damaged: {error!r}") from error
    if len(unpacked) > limit:
        raise DataError(f"{filename} holds more than {limit} bytes; it is not what it should be")
    return unpacked


def _open_compressed(filename: str, content: bytes) -> IO[bytes]:
    opener: Any = {"gz": gzip, "xz": lzma, "bz2": bz2}[filename.rsplit(".", 1)[-1]]
    return opener.open(io.BytesIO(content))


def _files(filename: str, content: bytes) -> Iterator[Unpacked]:
    if filename.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                link = (info.external_attr >> 28) == 0o12
                if not info.is_dir() and not link:
                    yield info.filename, info.file_size, functools.partial(_read_member, archive, info)
    elif filename.endswith(".deb"):
        inner = {name: data for name, data in _ar(content) if name in DEB_DATA}
        if len(inner) != 1:
            raise DataError(f"{filename} is no Debian package: it holds none of {', '.join(DEB_DATA)}")
        yield from (file for name, data in inner.items() for file in _tar(_open_compressed(name, data)))
    else:
        yield from _tar(gzip.GzipFile(fileobj=io.BytesIO(content)))


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A zip's member, which must not unpack to more than its directory says."""
    content = archive.open(info).read(info.file_size + 1)
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(f"a member of {info.file_size} bytes has another size")
    return content


def _tar(stream: IO[bytes] | gzip.GzipFile) -> Iterator[Unpacked]:
    with tarfile.open(fileobj=_LimitedStream(stream), mode="r|") as tar:  # type: ignore[call-overload]
        for info in tar:
            if info.isfile():
                file = tar.extractfile(info)
                assert file is not None
                yield info.name.removeprefix("./"), info.size, file.read


class _LimitedStream:
    """A stream that ends with an error where a bomb would not end."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile) -> None:
        self.stream, self.left = stream, STREAM_LIMIT

    def read(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise DataError(f"an archive unpacks to more than {STREAM_LIMIT} bytes; it is not what it should be")
        content: bytes = self.stream.read(size)
        return content


def _ar(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The members of a Debian package: headers of 60 bytes (name 16, ..., size 10 at 48), content padded to even."""
    if not content.startswith(b"!<arch>\n"):
        raise DataError("a .deb file is no Debian package: it does not begin with !<arch>")
    at = 8
    while at + 60 <= len(content):
        name, size = content[at : at + 16].decode("ascii", "replace").strip(" /"), int(content[at + 48 : at + 58])
        if size < 0 or at + 60 + size > len(content):
            raise DataError(f"a .deb file is cut short or damaged: its {name} has {size} bytes")
        yield name, content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
