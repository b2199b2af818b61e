"""A training step of one recurrent layer: seqjax (deferred and autodiff gradients) beside Flax, in one run.

The gradient of a sum of squares of all outputs in parameters and inputs, float32, compiled apart; the programs take
turns, so that a machine that slows down slows all of them. Memory is XLA's temporary memory of the compiled program.

    python -m experiments.benchmarks.scan_gradient [RUNS]
"""

import sys
import time
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows

SHAPES = ((32, 128, 64, 128), (16, 512, 256, 256), (1, 1024, 128, 128), (32, 784, 1, 128))  # B, T, D, F
CELLS = ((sj.LSTM, linen.OptimizedLSTMCell), (sj.GRU, linen.GRUCell), (sj.RNN, linen.SimpleCell))


def programs(ours: Any, theirs: Any, shape: tuple[int, int, int, int]) -> "dict[str, Program]":
    """Compiled training steps by name, each with its arguments bound, and `.temp` in MiB."""
    batch, length, width, features = shape
    xs = jax.random.normal(jax.random.key(0), (batch, length, width))
    cell = ours(features)
    params = cell.init(jax.random.key(1), width)
    module = linen.RNN(theirs(features))
    variables, apply = module.init(jax.random.key(2), xs), cast(Any, module.apply)
    losses = {
        "deferred": (lambda p, x: jnp.sum(sj.scan(cell, p, x)[1] ** 2), params),
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
        """Run once; milliseconds."""
        start = time.perf_counter()
        jax.block_until_ready(self.compiled(*self.args))
        return 1e3 * (time.perf_counter() - start)


def main(runs: int = 9) -> list[dict[str, Any]]:
    """Time everything, print ratios to Flax, and store the rows."""
    rows: list[dict[str, Any]] = []
    for shape in SHAPES:
        for ours, theirs in CELLS:
            found = programs(ours, theirs, shape)
            times: dict[str, list[float]] = {name: [] for name in found}
            for turn in range(runs + 1):
                for name, program in found.items():
                    elapsed = program()
                    if turn:  # the first turn warms up
                        times[name].append(elapsed)
            for name, program in found.items():
                sizes = dict(zip(("batch_size", "length", "in_features", "features"), shape))
                ratio = float(np.median(np.array(times[name]) / np.array(times["flax"])))
                row = {"cell": ours.__name__, "program": name, "time_over_flax": ratio, "min_ms": min(times[name])}
                row |= {
                    "median_ms": float(np.median(times[name])),
                    "memory_over_flax": program.temp / found["flax"].temp,
                }
                rows.append(sizes | row | {"temporary_mib": program.temp, "runs": runs})
    print(table(text_rows(rows)))
    rows = [row | where() for row in rows]
    write("benchmark_scan_gradient", rows)
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
