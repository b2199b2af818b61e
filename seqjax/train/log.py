"""The record of a training: `metrics.jsonl`, one JSON object a line, and TensorBoard where asked."""

import json
import math
from pathlib import Path
from typing import Any

from seqjax._internal.files import write_whole
from seqjax.errors import ArgumentError, DataError


class Log:
    """A folder with `metrics.jsonl`. A line is written at once and whole, so that a kill leaves all lines before it.

    A run that goes on from a checkpoint drops the lines beyond it. `rows` are those that were kept. Numbers that JSON
    does not have are the strings "NaN", "Infinity" and "-Infinity", which `float` reads.

    Raises:
        ArgumentError: rows of an earlier run would be lost, as this one begins anew and has no checkpoints.
        DataError: the folder cannot be written, or TensorBoard is asked for and tensorboardX not installed.
    """

    def __init__(self, folder: Any, start: int, replace: bool, tensorboard: bool) -> None:
        self._path = Path(folder) / "metrics.jsonl"
        self.rows = _kept(self._path, start)
        if self._path.exists() and self._path.stat().st_size and not replace:
            raise ArgumentError(
                f"log: {self._path} holds an earlier run. Pass another folder, or its checkpoints to go on"
            )
        text = "".join(_line(row) for row in self.rows)
        write_whole(self._path, lambda file: file.write(text.encode()))
        self._file = self._path.open("a", buffering=1, encoding="utf-8")
        self._board = _board(folder, start) if tensorboard else None

    def write(self, row: dict[str, Any]) -> None:
        """Append a row, which has a "step".

        Raises:
            DataError: it cannot be written.
        """
        try:
            self._file.write(_line(row))
        except OSError as error:
            raise DataError(f"{self._path} cannot be written: {error.strerror}. Is there room?") from error
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, float) and name != "time":
                    self._board.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_rows(path: Any) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`, up to a line that a kill left unfinished. A number written as a string is read."""
    rows = []
    for line in Path(path).read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if not line.endswith("\n") or not isinstance(row, dict):
            break
        rows.append({name: _number(value) for name, value in row.items()})
    return rows


def _kept(path: Path, start: int) -> list[dict[str, Any]]:
    """Rows up to step `start`; a partial one is left out, as it will be part of a whole one."""
    rows = read_rows(path) if path.exists() else []
    return [row for row in rows if row["step"] <= start and not row.get("partial")]


def _line(row: dict[str, Any]) -> str:
    return json.dumps({name: _text(value) for name, value in row.items()}, allow_nan=False) + "\n"


def _text(value: Any) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number(value: Any) -> Any:
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def _board(folder: Any, start: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise DataError("the package tensorboardX is not installed: pip install tensorboardX") from None
    return SummaryWriter(str(folder), purge_step=start + 1 if start else None)
