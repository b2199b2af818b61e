"""What every experiment shares: its run folder, the trainings in it, and its command line.

A run lives in `runs/<name>/<hash of the config>-s<seed>/`: config.json, environment.json, metrics.jsonl (the rows of
finished pieces of work), units/ (log and checkpoints of each training), summary.json, plots and STATUS. The same
command goes on where it stopped; another config is another folder.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax

import seqjax as sj
from experiments import records
from seqjax._internal.files import write_atomically
from seqjax._internal.signals import stop_requests

RUNS = Path("runs")

Rows = list[dict[str, Any]]


class Stopped(Exception):
    """The run was asked to stop, and has saved what it had."""


class Run:
    """One run folder. `units` are the rows of the pieces of work done so far, also in earlier calls.

    Args:
        name: of the experiment.
        config: its dataclass; the field `seed` is not part of the hash.
        by: the columns of the rows that say what was set; the others say what was measured.
        root: folder of all runs.

    Raises:
        ArgumentError: another process is at work in this folder.
        DataError: the folder cannot be written, or holds something else.
    """

    def __init__(self, name: str, config: Any, by: Sequence[str] = (), root: Path = RUNS) -> None:
        self.folder, values = folder_of(name, config, root), _values(name, config)
        with _disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder)
        self.by = tuple(by)
        self._metrics = self.folder / "metrics.jsonl"
        try:
            self._take_up(values)
        except BaseException:
            self._lock.close()
            raise

    def _take_up(self, values: dict[str, Any]) -> None:
        """Find what there is of the run, before anything is written."""
        kept = records.config(self.folder)
        if kept is not None and kept != json.loads(json.dumps(values, default=str)):
            raise sj.DataError(f"{self.folder}/config.json is not the config of this run. Was it edited?")
        self.units: dict[str, Rows] = records.units(self._metrics)
        self.was_done = records.status(self.folder) == "done"
        if not self.was_done:
            self._write("config.json", values)
            self._write("environment.json", environment())
            records.drop_unfinished(self._metrics)
            self._status("running")

    def work(self, jobs: Mapping[str, Callable[[Path], Rows]], at_once: int = 1) -> Rows:
        """Do the pieces of work that are not done yet, each in a folder of its own; the rows of all.

        With `at_once=2` two share the cores, as compiling leaves one idle; a training that is to hear SIGTERM must be
        alone, in the main thread.
        """
        todo = {unit: functools.partial(job, self._unit(unit)) for unit, job in jobs.items() if unit not in self.units}
        try:
            if at_once > 1:
                self._work_together(todo, at_once)
            else:
                self._work_alone(todo)
        except BaseException as error:
            self._status("stopped" if isinstance(error, (Stopped, KeyboardInterrupt)) else "failed")
            self._lock.close()
            raise
        return [row for unit in jobs for row in self.units[unit]]

    def _work_alone(self, todo: Mapping[str, Callable[[], Rows]]) -> None:
        with stop_requests(signal.SIGTERM) as asked:
            for i, (unit, work) in enumerate(todo.items(), 1):
                print(f"{unit} ({i} of {len(todo)})", file=sys.stderr, flush=True)
                self.record(unit, work())
                if asked(True) and i < len(todo):
                    raise Stopped(f"{self.folder}: stopped; the same command goes on")

    def record(self, unit: str, rows: Rows) -> None:
        """Append the rows of a finished piece of work, in one write."""
        with _disk(self._metrics), self._metrics.open("a") as file:
            file.write(_lines(unit, rows))
            file.flush()
            os.fsync(file.fileno())
        self.units[unit] = rows

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary and mark the run as done."""
        self._write("summary.json", summary)
        self._status("done")
        self._lock.close()

    def plots(self) -> list[Path]:
        """The figures of a run that was done already."""
        return sorted(self.folder.glob("plots/*.png")) if self.was_done else []

    def plot(self, figures: dict[str, Any]) -> list[Path]:
        """Save figures as PNG and SVG; the paths of the PNGs."""
        return [save_figure(figure, self.folder / "plots" / name) for name, figure in sorted(figures.items())]

    def _unit(self, unit: str) -> Path:
        return self.folder / "units" / records.slug(unit)

    def _work_together(self, todo: Mapping[str, Callable[[], Rows]], at_once: int) -> None:
        failed: list[BaseException] = []
        with ThreadPoolExecutor(at_once) as pool:
            futures = {pool.submit(job): unit for unit, job in todo.items()}
            for i, future in enumerate(as_completed(futures), 1):
                if future.cancelled():
                    continue
                if future.exception():
                    failed.append(future.exception())  # type: ignore[arg-type]
                    pool.shutdown(wait=False, cancel_futures=True)  # what has begun is finished and kept
                    continue
                self.record(futures[future], future.result())
                print(f"{futures[future]} ({i} of {len(todo)})", file=sys.stderr, flush=True)
        if failed:
            raise failed[0]

    def _status(self, word: str) -> None:
        write_atomically(self.folder / "STATUS", lambda file: file.write(word.encode() + b"\n"))

    def _write(self, name: str, value: Any) -> None:
        text = json.dumps(value, indent=1, default=str) + "\n"
        write_atomically(self.folder / name, lambda file: file.write(text.encode()))


def folder_of(name: str, config: Any, root: Path = RUNS) -> Path:
    """The folder of a config and seed."""
    values = {key: value for key, value in _values(name, config).items() if key not in ("experiment", "seed")}
    text = json.dumps(values, sort_keys=True, default=str)
    return root / name / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}-s{config.seed}"


def _values(name: str, config: Any) -> dict[str, Any]:
    return {"experiment": name, "seed": config.seed, "seqjax": sj.__version__} | dataclasses.asdict(config)


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise sj.DataError(f"{path} cannot be written: {error.strerror}. Is there room?") from error


def check_options(config: Any, *names: str) -> None:
    """Numbers, or all numbers of a tuple, that must be above 0; all others must not be below it.

    Raises:
        ArgumentError: one is, or a tuple is empty.
    """
    for name, value in dataclasses.asdict(config).items():
        values = value if isinstance(value, tuple) else (value,)
        if not values:
            raise sj.ArgumentError(f"{name}: give at least one")
        for number in (v for v in values if isinstance(v, (int, float))):
            if number < 0 or (number == 0 and name in names) or not math.isfinite(number) or number >= 2**31:
                least = "above 0" if name in names else "at least 0"
                raise sj.ArgumentError(f"{name} must be {least} and below 2^31, found {number}")


def _lines(unit: str, rows: Rows) -> str:
    where = {key: value for key, value in environment().items() if key in ("jax", "device", "commit")}
    rows = [*rows, {"done": True, "rows": len(rows), "time": time.time()} | where]
    return "".join(json.dumps({"unit": unit} | row) + "\n" for row in rows)


def _locked(folder: Path) -> Any:
    """A file that one process at a time holds; the system lets it go with the process, however that ends."""
    file = (folder / ".lock").open("a")
    for wait in (0.1, 0.2, 0.7, 0.0):  # `list` looks at it for a moment
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            time.sleep(wait)
        except OSError:
            file.close()
            raise
    file.close()
    raise sj.ArgumentError(f"{folder}: another process is at work on this run")


def save_figure(figure: Any, path: Path) -> Path:
    """Save as path.png and path.svg; the path of the PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"), dpi=110)
    figure.set_layout_engine("none")  # laid out once is enough
    figure.savefig(path.with_suffix(".svg"))
    return path.with_suffix(".png")


def environment() -> dict[str, Any]:
    """Versions, device and the commit of this code; no names of hosts or users."""

    def git(*words: str) -> str:
        try:
            return subprocess.run(
                ("git", *words), cwd=Path(__file__).parent, capture_output=True, text=True
            ).stdout.strip()
        except OSError:
            return ""

    device = jax.devices()[0]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": f"{device.platform} ({device.device_kind}), {os.cpu_count()} cores",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "commit": git("rev-parse", "--short", "HEAD"),
        "changed": bool(git("status", "--porcelain")),
    }


def table(rows: list[list[str]]) -> str:
    """Rows of text as aligned columns, the first row as head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def command(main: Callable[[Any], Any], options: Any, description: str | None) -> None:
    """The command line of an experiment: its options, and `--seeds 0 1 2` for one run after another."""
    import tyro

    @dataclasses.dataclass(frozen=True)
    class Command:
        config: tyro.conf.OmitArgPrefixes[options]
        """Of one run"""
        seeds: tuple[int, ...] = ()
        """Seeds of several runs, instead of --seed"""

    given: Any = tyro.cli(Command, description=description)
    try:
        for seed in given.seeds or (given.config.seed,):
            main(dataclasses.replace(given.config, seed=seed))
    except Stopped as stop:
        sys.exit(str(stop))
    except sj.SeqjaxError as error:
        sys.exit(f"{type(error).__name__}: {error}")
