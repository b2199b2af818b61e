"""Keeping what was fetched: whole files or none, arrays without pickles, a checksum over every value."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqjax._internal.files import write_atomically
from seqjax.errors import DataError

ELSEWHERE = "Set SEQJAX_CACHE to a folder that can be written"


def cache_folder() -> Path:
    """Where converted data are kept: `SEQJAX_CACHE`, else seqjax in the user's cache folder.

    Raises:
        DataError: there is no home folder.
    """
    given = os.environ.get("SEQJAX_CACHE")
    try:
        if given:
            return Path(given).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqjax"
    except RuntimeError as error:
        raise DataError(f"there is no home folder to keep data in ({error}). {ELSEWHERE}") from error


def read_and_check(path: Path, sha256: str, remedy: str) -> bytes:
    """The content of a file, refused if its checksum is not the expected one ("" for any).

    Raises:
        DataError: the file cannot be read, or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise DataError(
            f"{path} is damaged or another version: {len(content)} bytes with sha256 {found[:16]}..., "
            f"expected {sha256[:16]}.... {remedy}"
        )
    return content


def check_writable(folder: Path) -> None:
    """Try the cache before a long download.

    Raises:
        DataError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}. {ELSEWHERE}") from error


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 over names, dtypes, shapes and values; the same on every machine."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
        total.update(f"{name} {array.dtype.str} {array.shape};".encode())
        total.update(array.data if array.size else b"")
    return total.hexdigest()


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep arrays as a compressed npz.

    Raises:
        DataError: as `write_atomically`.
    """
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays), ELSEWHERE)


def read_arrays(path: Path, expected: str, limit: int) -> dict[str, np.ndarray]:
    """The arrays of an npz whose `digest` is `expected`; no pickle is loaded.

    Raises:
        FileNotFoundError, NotADirectoryError: there is none.
        DataError: the file cannot be read, holds more than `limit` bytes, or is damaged.
    """
    remedy = f"Delete it to have it made again: rm {path}"
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > limit:
            raise DataError(f"{path} holds {size} bytes, expected at most {limit}. {remedy}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except (DataError, FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Set SEQJAX_CACHE to a folder that can") from error
    except Exception as error:  # a file of any content can lead zip and npy readers to raise anything
        raise DataError(f"{path} is damaged ({error!r}). {remedy}") from error
    found = digest(arrays)
    if found != expected:
        raise DataError(
            f"{path} is damaged: its arrays have sha256 {found[:16]}..., expected {expected[:16]}.... {remedy}"
        )
    return arrays
