"""Recurrent layers on a GPU, beside Flax's scan, JAX's cuDNN LSTM and torch's cuDNN layers, in one run.

"cudnn" is seqjax with `engine="cudnn"`, which has an LSTM alone: `jax.experimental.rnn`, with its weights put together.
Every framework has a process of its own, of which one computes at a time; all get the same weights and data. Programs
are asked for in the order of what matters most, and none is begun after `SECONDS`. Times are wall time until the loss
is on the host, the least and the median of at least five runs after one that compiles. `difference` is that of the loss
(or of the sum of squared outputs) from ours in the same precision, relative. Temporary memory is XLA's, and the peak of
torch's allocator above what was there.

    float32   products in float32          tf32   rounded to 10 bits, the default of frameworks on such devices
    bfloat16, float16   parameters, inputs and outputs; carries and sums as the framework has them

It needs jax, flax, and torch where that is to be compared.

    python -m experiments.benchmarks.gpu [SECONDS] [FOLDER]
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.benchmarks.peers.work import SHAPES
from experiments.collect import RESULTS, write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows

FRAMEWORKS = ("seqjax", "linen", "cudnn", "torch")
LARGE = (256, 128, 1024, 1024)
ROOT = Path(__file__).resolve().parents[3]
Row = dict[str, Any]


def points(shapes: tuple[tuple[int, ...], ...] = (*SHAPES, LARGE)) -> Iterator[tuple[Row, str]]:
    """What is measured and in which precision, what matters most first."""
    names = ("batch_size", "length", "in_features", "features")
    for precision, work, call in (
        ("tf32", "lstm", "train"), ("tf32", "gru", "train"), ("bfloat16", "lstm", "train"), ("tf32", "rnn", "train"),
        ("float32", "lstm", "train"), ("tf32", "lstm", "forward"), ("bfloat16", "gru", "train"),
        ("float16", "lstm", "train"), ("float16", "gru", "train"),
    ):  # fmt: skip
        for shape in shapes:
            yield {"work": work, "call": call} | dict(zip(names, shape)), precision


class Worker:
    """A framework in a process of its own."""

    def __init__(self, framework: str) -> None:
        own = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONPATH": str(ROOT)}  # as others share the device
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", framework],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            env=os.environ | own,
        )  # fmt: skip
        self.about = self._read()

    def ask(self, **request: Any) -> Row:
        """Its answer; where the process has ended, that it has."""
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"left_out": "the process has ended"}
        return self._read()

    def _read(self) -> Row:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"left_out": "the process has ended"}

    def close(self) -> None:
        """End it."""
        self.process.communicate()


def measure(workers: dict[str, Worker], asked: Iterator[tuple[Row, str]], seconds: float, each: float) -> list[Row]:
    """A row for each point, precision and framework, until the time is over."""
    rows: list[Row] = []
    end = time.perf_counter() + seconds
    for point, precision in asked:
        if time.perf_counter() > end:
            print(f"out of time before {precision} {point}", flush=True)
            break
        found = {name: worker.ask(precision=precision, seconds=each, **point) for name, worker in workers.items()}
        rows += _rows(point | {"precision": precision}, {n: f | workers[n].about for n, f in found.items()})
        print(precision, *point.values(), {n: f.get("min_ms", f.get("left_out")) for n, f in found.items()}, flush=True)
    return rows


def _rows(point: Row, found: dict[str, Row]) -> list[Row]:
    """Those of one point, with ratios of ours over each."""
    ours = found.get("seqjax", {})
    rows = []
    for name, row in found.items():
        if "min_ms" not in row:
            continue
        row = {"framework": name, **point, **row}
        if "min_ms" in ours:
            row["ours_over_it"] = ours["min_ms"] / row["min_ms"]
            row["difference"] = abs(row["value"] - ours["value"]) / abs(ours["value"])
        row["on"] = row.pop("device")
        rows.append({k: v for k, v in row.items() if k != "value"})
    return rows


def main(seconds: float = 450, folder: Path = RESULTS, each: float = 0.5, asked: Any = None) -> list[Row]:
    """Start the frameworks, measure, print a table and store it."""
    workers = {name: Worker(name) for name in FRAMEWORKS}
    for name in [name for name, worker in workers.items() if "version" not in worker.about]:
        workers.pop(name).close()
        print(f"{name} is left out: it is not installed")
    rows = measure(workers, points() if asked is None else asked, seconds, each)
    for worker in workers.values():
        worker.close()
    print(table(text_rows(rows)))
    write("benchmark_gpu", [row | where() for row in rows], folder)
    return rows


if __name__ == "__main__":
    given = sys.argv[1:]
    main(float(given[0]) if given else 450, Path(given[1]) if given[1:] else RESULTS)
