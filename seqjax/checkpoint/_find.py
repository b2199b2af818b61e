"""Which checkpoints are there, which of them can be read, and which is the best."""

import contextlib
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqjax.checkpoint._files import HEADER, MANIFEST, Entry, entries, flaw
from seqjax.checkpoint._json import decode
from seqjax.checkpoint._together import from_first, is_first
from seqjax.errors import DataError

FORMAT = 1
logger = logging.getLogger("seqjax")


def one_checkpoint(path: Path) -> bool:
    """Whether a folder is a checkpoint, not one that holds some."""
    return (path / MANIFEST).exists() or (path / HEADER).exists()


def trouble(path: Path, content: bool = True) -> str | None:
    """Why a checkpoint cannot be read by this version; None where it can. See `flaw`."""
    if (reason := flaw(path, content)) is not None:
        return reason
    try:
        found = decode((path / HEADER).read_bytes())["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{HEADER} cannot be read: {error!r}"
    return None if found == FORMAT else f"it has format {found!r}, and this version of seqjax reads format {FORMAT}"


def whole(folder: Path) -> list[Entry]:
    """The checkpoints in a folder without trouble, the newest first; arrays are not read for it."""
    return [entry for entry in entries(folder) if trouble(entry.path, content=False) is None]


def find(path: Path, step: int | None = None) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint in a folder that can be read (of a step, if given), and what it says of itself.

    A folder that is a checkpoint itself holds that one. The first process looks, so that all read the same.

    Raises:
        DataError: there is none.
    """
    single = step is None and one_checkpoint(path)
    found = [Entry(0, 0, path)] if single else [entry for entry in entries(path) if step in (None, entry.step)]
    flaws: list[str] = []
    chosen = None
    for entry in found if is_first() else []:
        reason = trouble(entry.path)
        if reason is None:
            chosen = entry
            break
        flaws.append(f"{entry.path.name}: {reason}")
    if chosen and flaws:
        logger.warning("%s: %s is used, as later ones are damaged. %s", path, chosen.path.name, "; ".join(flaws))
    number, again = from_first([chosen.step, chosen.again] if chosen else [-1, 0])
    if number < 0:
        raise DataError(_nothing(path, step, flaws))
    place = path if single else Entry.of(path, number, again).path
    try:
        return place, decode((place / HEADER).read_bytes())
    except OSError as error:
        raise DataError(f"{place} has gone while it was read: {error.strerror}") from error


def _nothing(path: Path, step: int | None, flaws: list[str]) -> str:
    what = "no checkpoint" if step is None else f"no checkpoint of step {step}"
    if not is_first():
        return f"{path} holds {what}; the first process says why"
    if flaws:
        return f"{path} holds {what} that can be read. {'; '.join(flaws)}"
    if not path.is_dir():
        return f"{path} holds {what}: there is no such folder"
    names = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
    return f"{path} holds {what}. Found: {', '.join(names[:8]) or 'nothing'}{', ...' if len(names) > 8 else ''}"


def best_of(best: tuple[str, str], found: Sequence[Entry]) -> int | None:
    """The step with the lowest or highest meta[name]; nan and None are none, the earlier step wins a draw."""
    sign, name = (1 if best[0] == "lower" else -1), best[1]
    values = {}
    for entry in reversed(found):
        with contextlib.suppress(OSError):  # another process has removed it
            values[entry.step] = decode((entry.path / HEADER).read_bytes())["meta"].get(name)
    scores = {step: sign * x for step, x in values.items() if type(x) in (int, float) and not math.isnan(x)}
    return min(scores, key=lambda step: scores[step], default=None)
