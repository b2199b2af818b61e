"""Reading run folders, without touching them."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from experiments.harness.folder import folder_name, is_locked
from seqjax._internal.files import write_atomically
from seqjax.errors import ArgumentError, DataError
from seqjax.train import read_rows

_OWN_NAME = re.compile(r"[0-9a-f]{8}-s\d+")


class Damaged(NamedTuple):
    """The folder of a run that cannot be read, and why."""

    folder: Path
    reason: str


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
        """done, failed, stopped, running; or killed, where it says running and no process is at work on it.

        Also incomplete, where it says done and there is no summary: `resume` writes it.
        """
        word = status(self.folder) or "running"
        if word == "done" and not self.summary:
            return "incomplete"
        return "killed" if word == "running" and not is_locked(self.folder) else word

    @property
    def is_edited(self) -> bool:
        """Whether the config is another than that of which the folder has its name."""
        return bool(_OWN_NAME.fullmatch(self.folder.name)) and folder_name(self.config) != self.folder.name

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
    return path.read_text(errors="replace").strip() if path.exists() else ""


def config(folder: Path) -> dict[str, Any] | None:
    """The config of a run's folder, None where there is none yet.

    Raises:
        DataError: it cannot be read.
    """
    return _json(folder / "config.json") if (folder / "config.json").exists() else None


def units(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of finished units in a run's metrics.jsonl; what a stopped run left unfinished is left out.

    Raises:
        DataError: a line is damaged, but for a last one that a kill cut off.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    pending: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line)
            unit = row.pop("unit")
        except (ValueError, AttributeError, KeyError, TypeError):
            raise DataError(f"{path}: line {number} is damaged") from None
        if not row.get("done"):
            pending.setdefault(unit, []).append(row)
            continue
        found[unit] = pending.pop(unit, [])
        if row.get("rows", len(found[unit])) != len(found[unit]):
            raise DataError(f"{path}: rows of {unit!r} before line {number} are missing")
    return found


def drop_unfinished(path: Path) -> None:
    """Cut what a stopped run left after the last finished unit off its metrics.jsonl."""
    lines = _lines(path)
    while lines and not json.loads(lines[-1]).get("done"):
        lines.pop()
    write_atomically(path, lambda file: file.write("".join(line + "\n" for line in lines).encode()))


def _lines(path: Path) -> list[str]:
    """Whole lines."""
    if not path.exists():
        return []
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is no file of a run")
    return found


def read(folder: Path) -> Record:
    """The run in a folder.

    Raises:
        DataError: there is none, or a file of it cannot be read.
    """
    found, where = _json(folder / "config.json"), _json(folder / "environment.json")
    if not (found.keys() >= {"experiment", "seed"} and where.keys() >= {"date", "device", "jax"}):
        raise DataError(f"{folder} is no run: config.json or environment.json has no experiment, seed, date or device")
    return Record(folder, found, where, units(folder / "metrics.jsonl"), _summary(folder))


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    if status(folder) != "done" or not path.exists():
        return {}
    try:
        return _json(path)
    except DataError as error:
        raise DataError(f"{error}. Delete this file, and `resume` writes it anew from the finished units") from error


def every(root: Path) -> tuple[list[Record], list[Damaged]]:
    """All runs under a folder, by name, and those that cannot be read."""
    found: list[Record] = []
    damaged: list[Damaged] = []
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        if not (_OWN_NAME.fullmatch(folder.name) or (folder / "config.json").exists()):
            continue  # something of another kind
        try:
            found.append(read(folder))
        except DataError as error:
            damaged.append(Damaged(folder, str(error)))
    return found, damaged


def find(words: list[str], root: Path) -> tuple[list[Record], list[Damaged]]:
    """The runs that words name: a folder, `adding/1a2b3c4d-s0`, `adding/1a2b3c4d` for all its seeds, or `adding`.

    Beside them those that the words name and that cannot be read.

    Raises:
        ArgumentError: a word that names no run.
        DataError: a word that names only runs that cannot be read.
    """
    found: dict[Path, Record] = {}
    broken: dict[Path, Damaged] = {}
    runs, damaged = every(root)
    for word in words:
        here = {run.folder: run for run in runs if _is_named(run.folder, word, root)}
        ruins = {one.folder: one for one in damaged if _is_named(one.folder, word, root)}
        if ruins and not here:
            raise DataError(f"the run {word!r} is damaged: {'; '.join(one.reason for one in ruins.values())}")
        if not here:
            known = ", ".join(sorted({record.setting for record in runs})) or "none"
            unreadable = "; ".join(one.reason for one in damaged)
            raise ArgumentError(
                f"no run is called {word!r} under {root}; there are {known}"
                + (f"; not readable: {unreadable}" if unreadable else "")
            )
        found |= here
        broken |= ruins
    return list(found.values()), list(broken.values())


def _is_named(folder: Path, word: str, root: Path) -> bool:
    name = f"{folder.parent.name}/{folder.name}"
    names = {str(folder.resolve()), name, name.rsplit("-s", 1)[0], folder.parent.name}
    return bool(names & {word.strip("/").removeprefix(f"{root}/"), str(Path(word).resolve())})
