"""What every experiment shares: its run folder, progress on the terminal, and the record of where it ran.

A run lives in `runs/<name>/<hash of the config>-s<seed>/`: config.json, environment.json, metrics.jsonl,
summary.json, plots and STATUS. The same command goes on where it stopped; another config is another folder.
"""

import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax

import seqjax

RUNS = Path("runs")


class Run:
    """One run folder. `units` are the pieces of work done in earlier calls, so that they are not done again."""

    def __init__(self, name: str, config: Any, root: Path = RUNS) -> None:
        values = {"seqjax": seqjax.__version__} | dataclasses.asdict(config)
        seed = values.pop("seed")
        text = json.dumps(values, sort_keys=True, default=str)
        self.folder = root / name / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}-s{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._metrics = self.folder / "metrics.jsonl"
        self._write("config.json", {"experiment": name, "seed": seed} | values)
        self._write("environment.json", environment())
        self.units: dict[str, list[dict[str, Any]]] = {}
        self._read()
        status = self.folder / "STATUS"
        self.was_done = status.exists() and status.read_text().strip() == "done"
        self.status("running")

    def work(self, jobs: dict[str, Callable[[], list[dict[str, Any]]]]) -> None:
        """Do the pieces of work that are not done yet, two at a time, as compiling leaves a core idle."""
        todo = {unit: job for unit, job in jobs.items() if unit not in self.units}
        with ThreadPoolExecutor(2) as pool:
            futures = {pool.submit(job): unit for unit, job in todo.items()}
            try:
                for future in progress(as_completed(futures), "measuring", len(futures)):
                    self.record(futures[future], future.result())
            except BaseException:
                self.status("failed")
                pool.shutdown(cancel_futures=True)
                raise

    def record(self, unit: str, rows: list[dict[str, Any]]) -> None:
        """Append the rows of a finished piece of work, in one write."""
        lines = [json.dumps({"unit": unit} | row) for row in rows]
        lines.append(json.dumps({"unit": unit, "done": True, "time": time.time()}))
        with self._metrics.open("a") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.units[unit] = rows

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the summary and mark the run as done."""
        self._write("summary.json", summary)
        self.status("done")

    def status(self, word: str) -> None:
        """running, done or failed."""
        (self.folder / "STATUS").write_text(word + "\n")

    def plots(self) -> list[Path]:
        """The figures of a run that was done already."""
        return sorted(self.folder.glob("plots/*.png")) if self.was_done else []

    def plot(self, figures: dict[str, Any]) -> list[Path]:
        """Save figures as PNG and SVG; the paths of the PNGs."""
        folder = self.folder / "plots"
        folder.mkdir(exist_ok=True)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=110)
            figure.set_layout_engine("none")  # laid out once is enough
            figure.savefig(folder / f"{name}.svg")
        return sorted(folder / f"{name}.png" for name in figures)

    def _write(self, name: str, value: Any) -> None:
        part = self.folder / (name + ".part")
        part.write_text(json.dumps(value, indent=1, default=str) + "\n")
        os.replace(part, self.folder / name)

    def _read(self) -> None:
        """Take up finished units; what a stopped run left unfinished is dropped from the file."""
        if not self._metrics.exists():
            return
        pending: dict[str, list[dict[str, Any]]] = {}
        for line in self._metrics.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            unit = row.pop("unit")
            if row.get("done"):
                self.units[unit] = pending.pop(unit, [])
            else:
                pending.setdefault(unit, []).append(row)
        units, self.units = self.units, {}
        part = self._metrics.with_suffix(".part")
        part.write_text("")
        self._metrics, kept = part, self._metrics
        for unit, rows in units.items():
            self.record(unit, rows)
        os.replace(part, kept)
        self._metrics = kept


def environment() -> dict[str, Any]:
    """Versions, device and commit; no names of hosts or users."""

    def git(*words: str) -> str:
        try:
            return subprocess.run(("git", *words), capture_output=True, text=True).stdout.strip()
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


def progress(items: Iterable[Any], label: str, total: int | None = None) -> Iterable[Any]:
    """Go through `items` with a bar on a terminal, and a line each elsewhere."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        return tqdm(items, desc=label, total=total, leave=False, dynamic_ncols=True)
    return _told(items, label, total)


def _told(items: Iterable[Any], label: str, total: int | None) -> Iterator[Any]:
    for i, item in enumerate(items, 1):
        yield item
        print(f"{label}: {i} of {total}", file=sys.stderr, flush=True)


def table(rows: list[list[str]]) -> str:
    """Rows of text as aligned columns, the first row as head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)
