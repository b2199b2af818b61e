"""A training step of a linear recurrence by each engine, and step by step, in one run.

The gradient of the mean square of all outputs in parameters and inputs, float32, with as many inputs as features. What
is called "step" is the same cell known by its `step` alone, without `affine`. Programs take turns; times are CPU time
of the process, pinned to one core where the system can, the minimum over all turns; memory is XLA's temporary memory;
compilation is tracing and XLA's, as CPU time. Ratios are to "scan".

    python -m experiments.benchmarks.engines [RUNS]
"""

import os
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows
from seqjax.core.cell import Cell

SHAPES = ((1, 512), (1, 4096), (32, 128), (32, 512), (128, 128))  # B, T
FEATURES = 128


class SteppedMinGRU(sj.MinGRU):
    """A MinGRU that is run step by step."""

    uniform = True

    def step(self, params: Any, carry: Any, x: Any) -> Any:
        return super().step(params, carry, x)


class SteppedLRU(sj.LRU):
    """An LRU that is run step by step."""

    uniform = True

    def step(self, params: Any, carry: Any, x: Any) -> Any:
        return super().step(params, carry, x)


CELLS: tuple[tuple[type[Cell], type[Cell]], ...] = ((sj.MinGRU, SteppedMinGRU), (sj.LRU, SteppedLRU))


class Program:
    """A compiled training step, and the CPU times of its runs in ms."""

    def __init__(self, cell: Cell, engine: str, batch: int, length: int, features: int) -> None:
        params = cell.init(jax.random.key(1), features)
        xs = jax.random.normal(jax.random.key(0), (batch, length, features))
        loss = lambda p, x: jnp.mean(sj.scan(cell, p, x, engine=engine)[1] ** 2)
        start = time.process_time()
        self.compiled: Any = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()
        self.compile_s = time.process_time() - start
        memory: Any = self.compiled.memory_analysis()
        self.mib = memory.temp_size_in_bytes / 2**20
        self.args, self.times = (params, xs), list[float]()

    def run(self) -> Any:
        """Once; the gradients."""
        start = time.process_time()
        gradients = jax.block_until_ready(self.compiled(*self.args))
        self.times.append(1e3 * (time.process_time() - start))
        return gradients


def measure(
    cells: tuple[type[Any], type[Any]], batch: int, length: int, features: int, runs: int
) -> list[dict[str, Any]]:
    """A row for each way to run the cell; all gradients are compared first."""
    cell, stepped = (kind(features) for kind in cells)
    ways = {"scan": (cell, "scan"), "associative": (cell, "associative"), "step": (stepped, "scan")}
    programs = {name: Program(*way, batch, length, features) for name, way in ways.items()}
    first = {name: program.run() for name, program in programs.items()}
    largest = lambda tree: max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(tree))
    for name, found in first.items():
        apart = largest(jax.tree.map(jnp.subtract, found, first["scan"])) / largest(first["scan"])
        if not apart < 1e-3:
            raise RuntimeError(f"{cell!r}, {batch} x {length}: gradients by {name!r} differ by {apart:.2g}")
    for program in programs.values():
        program.times.clear()
    for _ in range(runs):
        for program in programs.values():
            program.run()
    base, rows = programs["scan"], []
    for name, program in programs.items():
        row = {"cell": cells[0].__name__, "batch_size": batch, "length": length, "features": features, "engine": name}
        row |= {"cpu_min_ms": min(program.times), "temporary_mib": program.mib, "compile_cpu_s": program.compile_s}
        row |= {"time_over_scan": min(program.times) / min(base.times), "memory_over_scan": program.mib / base.mib}
        rows.append(row | {"compile_over_scan": program.compile_s / base.compile_s, "runs": runs})
    return rows


def main(runs: int = 7) -> list[dict[str, Any]]:
    """Time everything, print ratios, and store the rows."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = [row for cells in CELLS for shape in SHAPES for row in measure(cells, *shape, FEATURES, runs)]
    print(table(text_rows(rows)))
    write("benchmark_engines", [row | where() for row in rows])
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
