"""The record of a training: `metrics.jsonl`, one JSON object a line."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqjax._internal.validation import true_or_false
from seqjax.errors import ArgumentTypeError

NAME = "metrics.jsonl"
Row = dict[str, Any]  # numbers by name, and whether it is partial; a sweep's are arrays
logger = logging.getLogger("seqjax")


@dataclass(frozen=True)
class Log:
    """Where `fit` keeps its record: a folder for `metrics.jsonl`.

    A line is written at once and whole, so that a kill leaves all lines before it. A run that goes on from a
    checkpoint drops the lines beyond it. One that has checkpoints but none to go on from moves lines that it finds
    there to `metrics.jsonl.old`, with a warning; one without checkpoints refuses them.

    Args:
        folder: made if it is not there.
        tensorboard: write TensorBoard's files there too (package tensorboardX).

    Raises:
        ArgumentTypeError: no path, or no flag.

    Examples:
        >>> from seqjax import train
        >>> log = train.Log("runs/a", tensorboard=True)  # for fit(..., log=log)
        >>> print(log.path)
        runs/a/metrics.jsonl
    """

    folder: Path | str
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, Path)) or not str(self.folder):
            raise ArgumentTypeError(f"log must be a folder or a Log, found {self.folder!r}")
        true_or_false("tensorboard", self.tensorboard)

    @property
    def path(self) -> Path:
        """The file of the rows."""
        return Path(self.folder) / NAME


def read_rows(path: Path | str) -> list[Row]:
    r"""The rows of a `metrics.jsonl`; null is NaN.

    A line that a kill left unfinished at the end is left out; so is one that is damaged, and a warning of the logger
    "seqjax" says how many are.

    Examples:
        >>> from pathlib import Path
        >>> from seqjax import train
        >>> text = '{"step": 100, "loss": 0.5}\n{"step": 200, "loss": null}\n{"step": 300, "lo'
        >>> _ = Path("metrics.jsonl").write_text(text)
        >>> train.read_rows("metrics.jsonl")
        [{'step': 100, 'loss': 0.5}, {'step': 200, 'loss': nan}]
    """
    rows, damaged = [], 0
    for line in Path(path).read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        row = _row(line)
        if row is None:
            damaged += 1
        else:
            rows.append(row)
    if damaged:
        logger.warning("%s: %d damaged %s left out", path, damaged, "line" if damaged == 1 else "lines")
    return rows


def line_of(row: Row) -> str:
    """A row as strict JSON: what is not finite is null, as JSON has no other word for it."""
    finite = {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in row.items()}
    return json.dumps(finite, allow_nan=False) + "\n"


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:  # no JSON, or no UTF-8
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        return None
    return {name: math.nan if value is None else value for name, value in row.items()}
