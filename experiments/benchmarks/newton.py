"""Newton's method over all steps at once beside the loop over time: time by steps, width and rows, and iterations.

A GRU(F) with 8 inputs, fresh parameters, float32; forward, and the gradient of the mean square of the outputs in all
parameters. Outputs and gradients are compared with the loop's first. The programs of a point take turns. Points at
which one run takes more than PATIENCE seconds are measured once; those with more than MOST multiplications of J in an
iteration are left out.

    taskset -c 0 python -m experiments.benchmarks.newton [RUNS]
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows

LENGTHS, WIDTHS, ROWS, INPUTS = (256, 1024, 4096, 16384), (4, 16, 64), (1, 8), 8
PATIENCE, MOST = 5.0, 1e10
Run = Callable[[Any], jax.Array]


def programs(cell: sj.Cell, xs: jax.Array) -> dict[str, Run]:
    """Outputs of parameters by name of the program."""
    return {
        "loop": lambda params: sj.scan(cell, params, xs)[1],
        "dense": lambda params: sj.newton(cell, params, xs).ys,
        "diagonal": lambda params: sj.newton(cell, params, xs, jacobian="diagonal").ys,
    }


def run_times(run: Any, params: Any) -> float:
    """CPU time of one run, in ms."""
    start = time.process_time()
    jax.block_until_ready(run(params))
    return 1e3 * (time.process_time() - start)


def measure(length: int, width: int, rows: int, runs: int) -> list[dict[str, Any]]:
    """The rows of one point."""
    cell = sj.GRU(width)
    params = cell.init(jax.random.key(0), INPUTS)
    xs = jax.random.normal(jax.random.key(1), (rows, length, INPUTS))
    found: list[dict[str, Any]] = []
    made = programs(cell, xs)
    counts = {name: int(sj.newton(cell, params, xs, jacobian=name).iterations) for name in ("dense", "diagonal")}
    for call in ("forward", "gradient"):
        wanted = made if call == "forward" else {name: gradient(run) for name, run in made.items()}
        compiled: dict[str, Any] = {name: jax.jit(run).lower(params).compile() for name, run in wanted.items()}
        results = {name: run(params) for name, run in compiled.items()}
        for name in counts:
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *map(results.get, ("loop", name))
            )
        times: dict[str, list[float]] = {name: [] for name in compiled}
        for turn in range(runs):
            for name, run in compiled.items():
                if turn == 0 or times[name][0] < 1e3 * PATIENCE:
                    times[name].append(run_times(run, params))
        for name, count in counts.items():
            row = {"steps": length, "width": width, "rows": rows, "call": call, "jacobian": name, "iterations": count}
            row |= {"newton_over_loop": min(times[name]) / min(times["loop"])}
            row |= {"newton_min_ms": min(times[name]), "loop_min_ms": min(times["loop"])}
            row |= {"temporary_mib": memory(compiled[name]), "loop_temporary_mib": memory(compiled["loop"])}
            found.append(row | {"runs": len(times[name])})
    return found


def gradient(run: Run) -> Run:
    """That of the mean square of the outputs."""
    return jax.grad(lambda params: jnp.mean(run(params) ** 2))


def memory(compiled: Any) -> float:
    """XLA's temporary memory, in MiB."""
    return compiled.memory_analysis().temp_size_in_bytes / 2**20


def main(runs: int = 5, lengths: tuple[int, ...] = LENGTHS) -> list[dict[str, Any]]:
    """Measure every point, print ratios, and store the rows."""
    rows: list[dict[str, Any]] = []
    for length in lengths:
        for width in WIDTHS:
            for batch in ROWS:
                if length * batch * width**3 <= MOST:
                    rows += measure(length, width, batch, runs)
                    print(table(text_rows(rows[-4:])), flush=True)
    write("benchmark_newton", [row | where() for row in rows])
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
