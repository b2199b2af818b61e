"""Writing the record of a training, row by row."""

import logging
from pathlib import Path
from typing import Any

from seqjax._internal.files import write_atomically
from seqjax.errors import ArgumentError, DataError
from seqjax.train.log import Log, Row, line_of, read_rows

logger = logging.getLogger("seqjax")


class Writer:
    """An open `Log`. `rows` are those of an earlier part of the run that were kept.

    Args:
        log: where to.
        start: the step that the run goes on from; rows beyond it are dropped.
        going_on: whether steps follow; a row of a part of a window is then dropped, as it will be part of a whole one.
        replace: whether the run has checkpoints, so that rows of an earlier part of it may be there. Where it begins
            anew nevertheless they are another run's, or those of one that was killed before its first checkpoint:
            they are moved to `metrics.jsonl.old`, with a warning.

    Raises:
        ArgumentError: rows of an earlier run are there, and this one has no checkpoints.
        DataError: the folder cannot be written, or TensorBoard is asked for and tensorboardX not installed.
    """

    def __init__(self, log: Log, start: int, going_on: bool, replace: bool) -> None:
        self._path = log.path
        if self._path.exists() and self._path.stat().st_size and not replace:
            raise ArgumentError(
                f"log: {self._path} holds an earlier run. Pass another folder, or its checkpoints to go on"
            )
        if start == 0:
            _set_aside(self._path)
        self.rows = _rows_to_keep(self._path, start, going_on)
        text = "".join(line_of(row) for row in self.rows)
        write_atomically(self._path, lambda file: file.write(text.encode()))
        self._file = self._path.open("a", buffering=1, encoding="utf-8")
        self._board = _board(log.folder, start) if log.tensorboard else None

    def write(self, row: Row) -> None:
        """Append a row, which has a "step".

        Raises:
            DataError: it cannot be written.
        """
        try:
            self._file.write(line_of(row))
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


def _set_aside(path: Path) -> None:
    """Move what is in a log to the end of another file beside it; the log stays until that is written."""
    rows = path.read_bytes() if path.exists() else b""
    if not rows:
        return
    old = path.with_name(f"{path.name}.old")
    before = old.read_bytes() if old.exists() else b""
    ended = rows if rows.endswith(b"\n") else rows + b"\n"  # a kill left its last line unfinished
    write_atomically(old, lambda file: file.write(before + ended))
    logger.warning("%s held rows, though there is no checkpoint to go on from: moved to %s", path, old.name)
    path.unlink()


def _rows_to_keep(path: Path, start: int, going_on: bool) -> list[Row]:
    rows = read_rows(path) if path.exists() else []
    return [row for row in rows if row["step"] <= start and not (going_on and row.get("partial"))]


def _board(folder: Path | str, start: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise DataError("the package tensorboardX is not installed: pip install tensorboardX") from None
    return SummaryWriter(str(folder), purge_step=start + 1 if start else None)
