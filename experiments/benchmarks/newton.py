"""Newton's method over all steps at once beside the loop over time: time by steps, width and rows, and iterations.

A GRU(F) with 8 inputs, fresh parameters, float32; forward, and the gradient of the mean square of the outputs in all
parameters. Outputs and gradients are compared with the loop's first. The programs of a point take turns. Points at
which one run takes more than PATIENCE seconds are measured once; those with more than MOST multiplications of J in an
iteration are left out.

    taskset -c 0 python -m experiments.benchmarks.newton [RUNS]
"""

import itertools
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows

LENGTHS, WIDTHS, ROWS, INPUTS = (256, 2048, 16384), (4, 16, 64), (1, 8), 8
PATIENCE, MOST = 5.0, 1e10
Run = Callable[[Any], tuple[jax.Array, Any]]


def programs(cell: sj.Cell, xs: jax.Array) -> dict[str, Run]:
    """Outputs and number of iterations from parameters, by name of the program."""

    def newton(jacobian: str, params: Any) -> tuple[jax.Array, Any]:
        found = sj.newton(cell, params, xs, jacobian=jacobian)
        return found.ys, found.iterations

    names = ("dense", "diagonal")
    return {"loop": lambda params: (sj.scan(cell, params, xs)[1], 0)} | {name: partial(newton, name) for name in names}


def run_time(run: Any, params: Any) -> float:
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
    for call, wanted in (("forward", made), ("gradient", {name: gradient(run) for name, run in made.items()})):
        compiled: dict[str, Any] = {name: jax.jit(run).lower(params).compile() for name, run in wanted.items()}
        results = {name: run(params) for name, run in compiled.items()}
        times: dict[str, list[float]] = {name: [] for name in compiled}
        for turn in range(runs):
            for name, run in compiled.items():
                if turn == 0 or times[name][0] < 1e3 * PATIENCE:
                    times[name].append(run_time(run, params))
        for name in ("dense", "diagonal"):
            jax.tree.map(compare, results[name][0], results["loop"][0])
            row = {"steps": length, "width": width, "rows": rows, "call": call, "jacobian": name}
            row |= {"iterations": int(results[name][1]), "newton_over_loop": min(times[name]) / min(times["loop"])}
            row |= {"newton_min_ms": min(times[name]), "loop_min_ms": min(times["loop"])}
            row |= {"temporary_mib": memory(compiled[name]), "loop_temporary_mib": memory(compiled["loop"])}
            found.append(row | {"runs": len(times[name])})
    return found


def compare(a: jax.Array, b: jax.Array) -> None:
    """Both give the same numbers."""
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def gradient(run: Run) -> Run:
    """That of the mean square of the outputs, and the number of iterations."""

    def score(params: Any) -> tuple[jax.Array, Any]:
        ys, iterations = run(params)
        return jnp.mean(ys**2), iterations

    return jax.grad(score, has_aux=True)


def memory(compiled: Any) -> float:
    """XLA's temporary memory, in MiB."""
    return compiled.memory_analysis().temp_size_in_bytes / 2**20


def main(runs: int = 3, lengths: tuple[int, ...] = LENGTHS) -> list[dict[str, Any]]:
    """Measure every point, print ratios, and store the rows after each."""
    rows: list[dict[str, Any]] = []
    for length, width, batch in itertools.product(lengths, WIDTHS, ROWS):
        if length * batch * width**3 <= MOST:
            rows += measure(length, width, batch, runs)
            print(table(text_rows(rows[-4:])), flush=True)
            write("benchmark_newton", [row | where() for row in rows])
    return rows


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3)
