"""Running a package manager: with a time limit, progress by what it has written, and its own words when it fails."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from seqjax.errors import DataError

FETCH_SECONDS = 1200
POLL_SECONDS = 0.1
TELLING = ("ERROR", "npm error", "npm ERR!", "E:", "Err:")


def run(
    command: list[str], what: str, target: Path, environment: Mapping[str, str], progress: Callable[[int], None]
) -> None:
    """Run a command in the folder `target` and wait for it.

    Raises:
        DataError: it cannot be started, fails, or takes too long.
    """
    log = target / "log.txt"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=target, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env={**os.environ, **environment}, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise DataError(f"{command[0]} could not be started: {error.strerror}") from error
    try:
        code = _wait(process, what, target, progress)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
            process.wait()
    if code != 0:
        raise DataError(f"{what} could not be fetched (no network?): {_reason(log, code)}")


def _wait(process: subprocess.Popen[bytes], what: str, target: Path, progress: Callable[[int], None]) -> int:
    end = time.monotonic() + FETCH_SECONDS
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            progress(_bytes_written(target))
        if time.monotonic() > end:
            raise DataError(f"{what} could not be fetched in {FETCH_SECONDS} s")


def _bytes_written(folder: Path) -> int:
    """Bytes of the largest file; what is fetched is one file, and helpers are smaller."""
    largest = 0
    for parent, _, files in os.walk(folder):  # unlike rglob it bears folders that vanish while it looks
        for name in files:
            try:
                largest = max(largest, os.lstat(os.path.join(parent, name)).st_size)
            except OSError:
                continue
    return largest


def _reason(log: Path, code: int) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    telling = [line for line in lines if line.startswith(TELLING)]
    return (telling or [line for line in lines if line] or [f"it ended with {code}"])[-1][:300]
