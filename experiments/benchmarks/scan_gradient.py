"""A training step of one recurrent layer: seqjax (deferred gradient, with the least memory, autodiff) beside Flax.

The gradient of a sum of squares of all outputs in parameters and inputs, float32, compiled apart; the programs take
turns, so that a machine that slows down slows all of them. Memory is XLA's temporary memory of the compiled program.
`own` is the same cell as a user writes it (`own_cells.py`).

    taskset -c 1 python -m experiments.benchmarks.scan_gradient [RUNS]
"""

import sys
import time
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen

import seqjax as sj
from experiments.benchmarks.own_cells import OWN
from experiments.benchmarks.peers.ratios import geometric_mean
from experiments.benchmarks.peers.work import SHAPES
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows

CELLS = ((sj.LSTM, linen.OptimizedLSTMCell), (sj.GRU, linen.GRUCell), (sj.RNN, linen.SimpleCell))


def programs(ours: Any, theirs: Any, shape: tuple[int, int, int, int]) -> "dict[str, Program]":
    """Compiled training steps by name, each with its arguments bound, and `.temp` in MiB."""
    batch, length, width, features = shape
    xs = jax.random.normal(jax.random.key(0), (batch, length, width))
    cell, own = ours(features), OWN[ours](features)
    params = cell.init(jax.random.key(1), width)
    shared = {"project": params["project"], "mix": {"kernel": params["mix"]["kernel"]}}
    module = linen.RNN(theirs(features))
    variables, apply = module.init(jax.random.key(2), xs), cast(Any, module.apply)
    losses = {
        "deferred": (lambda p, x: jnp.sum(sj.scan(cell, p, x)[1] ** 2), params),
        "least": (lambda p, x: jnp.sum(sj.scan(cell, p, x, memory="least")[1] ** 2), params),
        "own": (lambda p, x: jnp.sum(sj.scan(own, p, x)[1] ** 2), shared),
        "autodiff": (lambda p, x: jnp.sum(sj.scan(cell, p, x, gradient="autodiff")[1] ** 2), params),
        "flax": (lambda p, x: jnp.sum(apply(p, x) ** 2), variables),
    }
    found = {}
    for name, (loss, weights) in losses.items():
        compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(weights, xs).compile()
        found[name] = Program(compiled, weights, xs)
    return found


class Program:
    """A compiled step with its arguments."""

    def __init__(self, compiled: Any, *args: Any) -> None:
        self.compiled, self.args = compiled, args
        self.temp = compiled.memory_analysis().temp_size_in_bytes / 2**20

    def __call__(self) -> float:
        """Run once; milliseconds of CPU time."""
        start = time.process_time()
        jax.block_until_ready(self.compiled(*self.args))
        return 1e3 * (time.process_time() - start)


def measure(ours: Any, theirs: Any, shape: tuple[int, int, int, int], runs: int) -> list[dict[str, Any]]:
    """A row for each program: least CPU time and temporary memory, and both over Flax's."""
    found = programs(ours, theirs, shape)
    warm_up = {name: program() for name, program in found.items()}
    repeats = 1 + int(20 / max(min(warm_up.values()), 0.01))  # short steps more often
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(runs):
        for name, program in found.items():
            times[name] += [program() for _ in range(repeats)]
    rows = []
    for name, program in found.items():
        least, flax = min(times[name]), found["flax"]
        row: dict[str, Any] = dict(zip(("batch_size", "length", "in_features", "features"), shape))
        row |= {
            "cell": ours.__name__,
            "program": name,
            "time_over_flax": least / min(times["flax"]),
            "cpu_min_ms": least,
        }
        rows.append(row | {"memory_over_flax": program.temp / flax.temp, "temporary_mib": program.temp, "runs": runs})
    return rows


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Geometric means over the shapes for each cell and program."""
    found = []
    for pair in dict.fromkeys((row["cell"], row["program"]) for row in rows):
        of_pair = [row for row in rows if (row["cell"], row["program"]) == pair]
        ratios = {k: geometric_mean(row[k] for row in of_pair) for k in ("time_over_flax", "memory_over_flax")}
        found.append({"cell": pair[0], "program": pair[1], **ratios})
    return found


def main(runs: int = 5) -> list[dict[str, Any]]:
    """Time everything, print ratios to Flax, and store the rows."""
    rows = [row for shape in SHAPES for ours, theirs in CELLS for row in measure(ours, theirs, shape, runs)]
    print(table(text_rows(rows)), table(text_rows(means(rows))), sep="\n")
    rows = [row | where() for row in rows]
    write("benchmark_scan_gradient", rows)
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
