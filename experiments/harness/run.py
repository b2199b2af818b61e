"""A run: its folder, and the pieces of work that are done in it.

A run lives in `runs/<name>/<hash of the config>-s<seed>/`: config.json, environment.json, metrics.jsonl (the rows of
finished pieces of work), units/ (log and checkpoints of each training), summary.json, plots and STATUS. The same
command goes on where it stopped; another config is another folder.
"""

import functools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import seqjax as sj
from experiments.harness import records, strict
from experiments.harness.environment import environment, where
from experiments.harness.folder import RUNS, Options, folder_of, lock, values_of, write_json, writing
from seqjax._internal.files import write_atomically
from seqjax._internal.signals import stop_requests

Row = dict[str, Any]
Rows = list[Row]
Job = Callable[[Path], Rows]


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

    def __init__(self, name: str, config: Options, by: Sequence[str] = (), root: Path = RUNS) -> None:
        self.folder = folder_of(name, config, root)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.folder)
        self.by = tuple(by)
        self._metrics = self.folder / "metrics.jsonl"
        try:
            self._take_up(values_of(name, config))
        except BaseException:
            self._lock.close()
            raise

    def _take_up(self, values: dict[str, strict.Value]) -> None:
        """Find what there is of the run, before anything is written."""
        kept = records.config(self.folder)
        if kept is not None and kept != values:
            raise sj.DataError(f"{self.folder}/config.json is not the config of this run. Was it edited?")
        self.units: dict[str, Rows] = records.units(self._metrics)
        self.was_done = records.status(self.folder) == "done"
        if not self.was_done:
            write_json(self.folder / "config.json", values)
            write_json(self.folder / "environment.json", environment())
            records.drop_unfinished(self._metrics)
            self._status("running")

    def work(self, jobs: Mapping[str, Job], at_once: int = 1) -> Rows:
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

    def record(self, unit: str, rows: Rows) -> None:
        """Append the rows of a finished piece of work, in one write."""
        end = {"done": True, "rows": len(rows), "time": time.time()} | where("jax", "device", "commit")
        lines = [strict.dumps({"unit": unit} | row) for row in [*rows, end]]
        with writing(self._metrics), self._metrics.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        self.units[unit] = json.loads(strict.dumps(rows))  # as a later call will read them

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary and mark the run as done."""
        write_json(self.folder / "summary.json", summary)
        self._status("done")
        self._lock.close()

    def _unit(self, unit: str) -> Path:
        return self.folder / "units" / records.slug(unit)

    def _work_alone(self, todo: Mapping[str, Callable[[], Rows]]) -> None:
        with stop_requests(signal.SIGTERM) as asked:
            for i, (unit, work) in enumerate(todo.items(), 1):
                print(f"{unit} ({i} of {len(todo)})", file=sys.stderr, flush=True)
                self.record(unit, work())
                if asked(True) and i < len(todo):
                    raise Stopped(f"{self.folder}: stopped; the same command goes on")

    def _work_together(self, todo: Mapping[str, Callable[[], Rows]], at_once: int) -> None:
        errors: list[BaseException] = []
        with ThreadPoolExecutor(at_once) as pool:
            try:
                futures = {pool.submit(job): unit for unit, job in todo.items()}
                for i, future in enumerate(as_completed(futures), 1):
                    if future.cancelled():
                        continue
                    if error := future.exception():
                        errors.append(error)
                        pool.shutdown(wait=False, cancel_futures=True)  # what has begun is finished and kept
                        continue
                    self.record(futures[future], future.result())
                    print(f"{futures[future]} ({i} of {len(todo)})", file=sys.stderr, flush=True)
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)  # first of all, as a second ^C may follow
                self._status("stopped")  # now, as the pool waits for what has begun
                raise
        if errors:
            raise errors[0]

    def _status(self, word: str) -> None:
        write_atomically(self.folder / "STATUS", lambda file: file.write(word.encode() + b"\n"))
