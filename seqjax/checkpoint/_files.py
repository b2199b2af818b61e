"""Folders that are whole or not there: a manifest over every file, and moves in place of writing and deleting.

A folder is filled under a hidden name, sealed, and moved to its own name; one that is no longer needed is moved to a
hidden name before it is deleted. So a process killed at any moment leaves whole folders and hidden ones, no others.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

from seqjax.errors import ArgumentError

HEADER = "checkpoint.json"
MANIFEST = "manifest.txt"
LINE = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]*) ([^\n]+)\n")
NAME = re.compile(r"step-(0|[1-9][0-9]{0,17})(?:-([1-9][0-9]{0,8}))?")
HIDDEN = re.compile(r"\.step-[0-9-]+\.[0-9a-f]{8}\.(part|trash)")


class Entry(NamedTuple):
    """A folder by name: its step, and how many times that step was saved before."""

    step: int
    again: int
    path: Path

    @classmethod
    def of(cls, folder: Path, step: int, again: int) -> "Entry":
        """The entry for a step in a folder, there or not."""
        return cls(step, again, folder / (f"step-{step}-{again}" if again else f"step-{step}"))


def entries(folder: Path) -> list[Entry]:
    """What is named like a checkpoint, the newest first; whether each can be read is for `flaw` to say."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((Entry.of(folder, int(m[1]), int(m[2] or 0)) for m in map(NAME.fullmatch, names) if m), reverse=True)


def seal(folder: Path) -> None:
    """Write the manifest, a line `sha256 bytes name` for each file, and bring everything to the disk."""
    lines = []
    for name, size in _sizes(folder).items():
        lines.append(f"{_sha256(folder / name)} {size} {name}\n")
        sync(folder / name)
    with open(folder / MANIFEST, "xb") as file:
        file.write("".join(lines).encode())
        file.flush()
        os.fsync(file.fileno())
    for path, _, _ in os.walk(folder, topdown=False):
        sync(Path(path))


def flaw(folder: Path, content: bool = True) -> str | None:
    """What is wrong with a sealed folder: a file missing, added, of another size or changed.

    Without `content` only the header is looked at for changes, which reads little.
    Nothing outside the folder is opened: links are a flaw, and names come from the folder, not from the manifest.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return "it is no folder"
        sizes = _sizes(folder, sealed=True)
        text = (folder / MANIFEST).read_bytes().decode("ascii")
        lines = LINE.findall(text)
        if "".join("{} {} {}\n".format(*line) for line in lines) != text:
            return f"{MANIFEST} is damaged"
        expected = {name: (digest, int(size)) for digest, size, name in lines}
        if odd := sorted(sizes.keys() ^ expected.keys()):
            return f"{odd[0]} is {'missing' if odd[0] in expected else 'not in ' + MANIFEST}"
        for name, (digest, size) in expected.items():
            if sizes[name] != size:
                return f"{name} has {sizes[name]} bytes, expected {size}"
            if (content or name == HEADER) and _sha256(folder / name) != digest:
                return f"{name} is damaged: its sha256 is not that of {MANIFEST}"
    except (OSError, ValueError) as error:
        return f"it cannot be read: {error}"
    return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sizes(folder: Path, sealed: bool = False) -> dict[str, int]:
    """The size of each file by its name in the folder, the manifest left out; ValueError for anything but files."""
    sizes = {}
    for path, folders, files in os.walk(folder, onerror=_raise):
        for name in (*folders, *files):
            inside = os.path.relpath(os.path.join(path, name), folder)
            status = os.lstat(os.path.join(path, name))
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                raise ValueError(f"{inside} is a link or a device, expected a file")
            if stat.S_ISREG(status.st_mode):
                sizes[Path(inside).as_posix()] = status.st_size
    if sealed and sizes.pop(MANIFEST, None) is None:
        raise ValueError(f"{MANIFEST} is missing")
    return dict(sorted(sizes.items()))


def _raise(error: OSError) -> None:
    raise error


def make(folder: Path) -> None:
    """Make a folder and those around it, and bring their names to the disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path, token: str) -> None:
    """Take a folder out of the list in one move, then delete it."""
    trash = path.with_name(f".{path.name}.{token}.trash")
    os.rename(path, trash)
    _delete(trash)


def sweep(folder: Path) -> None:
    """Delete what killed processes left; for the holder of the lock alone."""
    for name in os.listdir(folder):
        if HIDDEN.fullmatch(name):
            _delete(folder / name)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Lock:
    """One writer a folder. The system frees the lock of a killed process; where it knows no locks, none is held."""

    def __init__(self, folder: Path) -> None:
        self.descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                os.close(self.descriptor)
                raise ArgumentError(f"{folder}: another process is saving there. One folder for each run?") from None

    def free(self) -> None:
        """Let others write."""
        with contextlib.suppress(OSError):
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # closing is not enough where a child process shares it
        os.close(self.descriptor)
