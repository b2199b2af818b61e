"""Which checkpoints are in a folder, and which of them can be read."""

import logging
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from seqjax.checkpoint._folders import HEADER, MANIFEST, find_damage, measure_file
from seqjax.checkpoint._json import decode
from seqjax.checkpoint._processes import broadcast_from_first, is_first
from seqjax.errors import DataError

FORMAT = 2
NAME = re.compile(r"step-(0|[1-9][0-9]{0,17})(?:-([1-9][0-9]{0,8}))?")
logger = logging.getLogger("seqjax")


class Entry(NamedTuple):
    """A folder named like a checkpoint: its step, and how many times that step was saved before."""

    step: int
    version: int
    path: Path

    @classmethod
    def of(cls, folder: Path, step: int, version: int) -> "Entry":
        """The entry for a step in a folder, there or not."""
        return cls(step, version, folder / (f"step-{step}-{version}" if version else f"step-{step}"))


def list_entries(folder: Path) -> list[Entry]:
    """What is named like a checkpoint, the newest first; whether each can be read is for `find_problem` to say."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    matches = [match for match in map(NAME.fullmatch, names) if match]
    return sorted((Entry.of(folder, int(m[1]), int(m[2] or 0)) for m in matches), reverse=True)


def is_checkpoint(path: Path) -> bool:
    """Whether a folder is a checkpoint, not one that holds some."""
    return (path / MANIFEST).exists() or (path / HEADER).exists()


def find_problem(path: Path, content: bool = True) -> str | None:
    """Why a checkpoint cannot be read by this version; None where it can. `content` is that of `find_damage`."""
    found = _read_format(path)  # first, as the manifest of another format would pass for a damaged one
    if found not in (None, FORMAT):
        return f"it has format {found!r}, and this version of seqjax reads format {FORMAT}. Written by another version?"
    damage = find_damage(path, content)
    return f"{HEADER} names no format" if damage is None and found is None else damage


def _read_format(path: Path) -> object:
    try:
        measure_file(path.resolve(), HEADER)
        return decode((path / HEADER).read_bytes())["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def readable_checkpoints(folder: Path) -> list[Entry]:
    """The checkpoints in a folder without a problem, the newest first; arrays are not read for it."""
    return [entry for entry in list_entries(folder) if find_problem(entry.path, content=False) is None]


def find_newest(path: Path, step: int | None = None) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint in a folder that can be read (of a step, if given), and its header.

    A folder that is a checkpoint itself holds that one. The first process looks, so that all read the same.

    Raises:
        DataError: there is none.
    """
    single = step is None and is_checkpoint(path)
    found = [Entry(0, 0, path)] if single else [entry for entry in list_entries(path) if step in (None, entry.step)]
    problems: list[str] = []
    chosen = None
    for entry in found if is_first() else []:
        problem = find_problem(entry.path)
        if problem is None:
            chosen = entry
            break
        problems.append(f"{entry.path.name}: {problem}")
    if chosen and problems:
        logger.warning("%s: %s is used, as later ones are damaged. %s", path, chosen.path.name, "; ".join(problems))
    number, version = broadcast_from_first([chosen.step, chosen.version] if chosen else [-1, 0])
    if number < 0:
        raise DataError(_say_nothing_there(path, step, problems))
    place = path if single else Entry.of(path, number, version).path
    return place, read_header(place)


def read_header(path: Path) -> dict[str, Any]:
    """What stands in a checkpoint's header.

    Raises:
        DataError: it has gone.
    """
    try:
        return decode((path / HEADER).read_bytes())
    except OSError as error:
        raise DataError(f"{path} has gone while it was read: {error.strerror}") from error


def _say_nothing_there(path: Path, step: int | None, problems: list[str]) -> str:
    what = "no checkpoint" if step is None else f"no checkpoint of step {step}"
    if not is_first():
        return f"{path} holds {what}; the first process says why"
    if problems:
        return f"{path} holds {what} that can be read. {'; '.join(problems)}"
    if not path.is_dir():
        return f"{path} holds {what}: there is no such folder"
    names = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    return f"{path} holds {what}. Found: {', '.join(names[:8]) or 'nothing'}{', ...' if len(names) > 8 else ''}"
