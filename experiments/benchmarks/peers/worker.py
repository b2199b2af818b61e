"""The process of one framework: it answers requests, a line of JSON each, and measures nothing unasked.

python -m experiments.benchmarks.peers.worker FRAMEWORK CORE [CORE ...]
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.benchmarks.peers.frameworks import FRAMEWORKS
from experiments.benchmarks.peers.work import NotOffered, Point, Tree


class Worker:
    """Holds the program that is measured, one at a time."""

    def __init__(self, framework: str) -> None:
        self.framework = FRAMEWORKS[framework]
        self.module = importlib.import_module(f"experiments.benchmarks.peers.{self.framework.file}")
        self.program: Any = None

    def version(self) -> Tree:
        """Of the framework and, where there is one, of JAX."""
        found = {"version": _version(self.framework.package)}
        return found | ({"jax": _version("jax")} if "jax" in sys.modules else {})

    def prepare(self, file: str, **point: Any) -> Tree:
        """Compile the program of a point, write its numbers into a file, and tell what compilation took."""
        self.program = None
        self.program = self._program(Point(**point))
        np.savez(file, **self.program.numbers())
        return {name: getattr(self.program, name) for name in ("compile_s", "compile_cpu_s", "temporary_mib")}

    def _program(self, point: Point) -> Any:
        make = getattr(self.module, self.framework.make)
        if self.framework.file == "torch_modules":
            return (self.module.Flow if point.call == "flow" else make)(point)
        from experiments.benchmarks.peers.flows import Flow
        from experiments.benchmarks.peers.model import Program

        model = make(point)
        return Flow(self.module, point) if point.call == "flow" else Program(model, point)

    def turn(self, runs: int, seconds: float) -> Tree:
        """Milliseconds of wall and CPU time of each of at least so many runs, and of more in so many seconds."""
        return measure(self.program.run, runs, seconds)

    def stream(self, steps: int, **point: Any) -> Tree:
        """Milliseconds of so many single steps of an LSTM, one call each."""
        if self.framework.file == "torch_modules":
            return measure(self.module.make_stream(Point(**point)), steps, 0.0)
        from experiments.benchmarks.peers.streaming import make_caller

        return measure(make_caller(self.module, Point(**point)), steps, 0.0)

    def sweep(self, lengths: list[int], padded: bool, **point: Any) -> Tree:
        """Compilations and milliseconds of a train step at several lengths, each once."""
        if self.framework.file == "torch_modules":
            raise NotOffered("torch compiles nothing")
        from experiments.benchmarks.peers.streaming import sweep_lengths

        return sweep_lengths(getattr(self.module, self.framework.make)(Point(**point)), Point(**point), lengths, padded)


def measure(run: Callable[[], object], runs: int, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of wall and CPU time of each run."""
    wall: list[float] = []
    cpu: list[float] = []
    while len(wall) < runs or (sum(wall) < 1e3 * seconds and len(wall) < 500):
        start, cpu_start = time.perf_counter(), time.process_time()
        run()
        wall.append(1e3 * (time.perf_counter() - start))
        cpu.append(1e3 * (time.process_time() - cpu_start))
    return {"wall": wall, "cpu": cpu}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"


def answer(worker: Worker, operation: str, **arguments: Any) -> Tree:
    """The answer to one request; `left_out` says why there is none."""
    try:
        return getattr(worker, operation)(**arguments)
    except NotOffered as error:
        return {"left_out": str(error)}


def main(framework: str, *cores: str) -> None:
    """Answer until there are no more requests."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(map(int, cores)))  # before JAX or torch count the cores
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    worker = Worker(framework)
    for line in sys.stdin:
        print(json.dumps(answer(worker, **json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
