"""Reading run folders, without touching them."""

import fcntl
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqjax.errors import ArgumentError, DataError
from seqjax.train import read_rows


@dataclass(frozen=True)
class Record:
    """A run as it stands in its folder.

    units: rows of the finished pieces of work. summary: {} until it is done.
    """

    folder: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    units: dict[str, list[dict[str, Any]]]
    summary: dict[str, Any]

    @property
    def name(self) -> str:
        """experiment/hash-s0, as all commands take it."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def setting(self) -> str:
        """The name without the seed."""
        return self.name.rsplit("-s", 1)[0]

    @property
    def status(self) -> str:
        """done, failed, stopped, running; or killed, where it says running and no process is at work on it."""
        word = status(self.folder)
        return "killed" if word == "running" and not _held(self.folder) else word

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of all finished units."""
        return [row for rows in self.units.values() for row in rows]

    def curves(self, unit: str) -> list[dict[str, Any]]:
        """The log of the unit's training, [] where there is none."""
        path = self.folder / "units" / slug(unit) / "metrics.jsonl"
        return read_rows(path) if path.exists() else []


def slug(unit: str) -> str:
    """A folder's name for a unit, its own for every unit."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", unit).strip("-")[:60]
    return f"{words}-{hashlib.sha256(unit.encode()).hexdigest()[:6]}"


def status(folder: Path) -> str:
    """The word in the file STATUS, "" where there is none."""
    path = folder / "STATUS"
    return path.read_text().strip() if path.exists() else ""


def units(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of finished units in a run's metrics.jsonl; what a stopped run left unfinished is left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    pending: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        unit = row.pop("unit")
        if row.get("done"):
            found[unit] = pending.pop(unit, [])
        else:
            pending.setdefault(unit, []).append(row)
    return found


def read(folder: Path) -> Record:
    """The run in a folder.

    Raises:
        DataError: there is none, or a file of it cannot be read.
    """
    parts: list[dict[str, Any]] = []
    for name in ("config.json", "environment.json", "summary.json"):
        path = folder / name
        if name == "summary.json" and (not path.exists() or status(folder) != "done"):
            parts.append({})
            continue
        try:
            parts.append(json.loads(path.read_text()))
        except (OSError, json.JSONDecodeError) as error:
            raise DataError(f"{folder} is no run that can be read: {name}: {error}") from error
    return Record(folder, parts[0], parts[1], units(folder / "metrics.jsonl"), parts[2])


def every(root: Path) -> list[Record]:
    """All runs under a folder, by name; what is no run is left out."""
    folders = sorted(path.parent for path in root.glob("*/*/config.json"))
    return [read(folder) for folder in folders if (folder / "environment.json").exists()]


def find(words: list[str], root: Path) -> list[Record]:
    """The runs that words name: a folder, `adding/1a2b3c4d-s0`, `adding/1a2b3c4d` for all its seeds, or `adding`.

    Raises:
        ArgumentError: a word that names none.
    """
    found: dict[str, Record] = {}
    for word in words:
        given = str(Path(word).resolve()) if Path(word).is_dir() else word.strip("/")
        here = [
            record
            for record in every(root)
            if given in (str(record.folder.resolve()), record.name, record.setting, record.folder.parent.name)
        ]
        if not here:
            names = ", ".join(sorted({record.setting for record in every(root)})) or "none"
            raise ArgumentError(f"no run is called {word!r} under {root}; there are {names}")
        found |= {record.name: record for record in here}
    return list(found.values())


def _held(folder: Path) -> bool:
    """Whether a process is at work in the folder."""
    path = folder / ".lock"
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
