"""Folders that are complete or not there: a manifest over every file, and moves in place of writing and deleting.

A folder is filled under a hidden name, gets its manifest, and is moved to its own name; one that is no longer needed
is moved to a hidden name before it is deleted. So a process killed at any moment leaves complete folders and hidden
ones, no others.
"""

import hashlib
import os
import re
import shutil
import stat
from pathlib import Path

HEADER = "checkpoint.json"
MANIFEST = "manifest.txt"
LINE = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]*) ([^\n]+)\n")
HIDDEN = re.compile(r"\.step-[0-9-]+\.[0-9a-f]{8}\.(part|trash)")


def write_manifest(folder: Path) -> None:
    """Write a line `sha256 bytes name` for each file and one for these lines, and bring everything to the disk."""
    text = ""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        text += f"{_sha256(path)} {path.stat().st_size} {path.relative_to(folder).as_posix()}\n"
        sync(path)  # before the folder gets its name: a name may reach the disk before the content does
    with open(folder / MANIFEST, "xb") as file:
        file.write((text + _own_line(text)).encode())
        file.flush()
        os.fsync(file.fileno())
    for inside, _, _ in os.walk(folder, topdown=False):
        sync(Path(inside))  # the names in a folder are content of the folder, and need a sync of their own


def _own_line(text: str) -> str:
    """The last line, over those above it: else a manifest cut at the end of a line would pass for a shorter one."""
    return f"{hashlib.sha256(text.encode()).hexdigest()} {len(text.encode())} {MANIFEST}\n"


def find_damage(folder: Path, content: bool = True) -> str | None:
    """What is wrong with the files of a manifest: one is missing, has another size or was changed; None for nothing.

    Files that the manifest does not list (`.DS_Store`, notes) are none of ours, and are not looked at.
    Without `content` all but the arrays is looked at for changes, which reads little.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return "it is no folder"
        root = folder.resolve()
        measure_file(root, MANIFEST)
        *lines, last = (root / MANIFEST).read_text("ascii").splitlines(keepends=True) or [""]
        if last != _own_line("".join(lines)):
            return f"{MANIFEST} is damaged"
        for match in map(LINE.fullmatch, lines):
            if match is None:
                return f"{MANIFEST} is damaged"
            digest, size, name = match.groups()
            if (found := measure_file(root, name)) != int(size):
                return f"{name} has {found} bytes, expected {size}"
            if (content or not name.startswith("arrays/")) and _sha256(root / name) != digest:
                return f"{name} is damaged: its sha256 is not that of {MANIFEST}"
    except (OSError, ValueError) as error:
        return f"it cannot be read: {error}"
    return None


def measure_file(root: Path, name: str) -> int:
    """The bytes of a file in a folder; `root` is resolved.

    Raises:
        ValueError: it is missing, is no file (opening a pipe would wait forever), or a link or `..` leads outside.
    """
    path = root / name
    if os.path.realpath(path) != str(path) or not path.is_relative_to(root):
        raise ValueError(f"{name} is a link or leads out of the folder")
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise ValueError(f"{name} is missing") from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{name} is not a file")
    return status.st_size


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and those around it, and bring their names to the disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)  # else a checkpoint that is safe would lie in a folder that is not


def publish(part: Path, folder: Path) -> None:
    """Give a complete folder its name: from one moment to the next, as a rename is never half done."""
    part.rename(folder)
    sync(folder.parent)  # `save` promises that the checkpoint is there after a power cut, so the name must be


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path, token: str) -> None:
    """Take a folder out of the list in one move, then delete it: deleting file by file can be stopped half-way."""
    trash = path.with_name(f".{path.name}.{token}.trash")
    os.rename(path, trash)
    _delete(trash)


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left; only for the holder of the lock, as another's half may be in the making."""
    for name in os.listdir(folder):
        if HIDDEN.fullmatch(name):
            _delete(folder / name)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
