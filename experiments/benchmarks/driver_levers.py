"""A training step of one recurrent layer in this checkout and in an older one, in processes that take turns.

The gradient of the mean square of all outputs in parameters and inputs, float32. Times are CPU time of the process,
pinned to one core where `taskset` is at hand, the minimum over all turns; memory is XLA's temporary memory.

    git worktree add OLDER <commit>
    python -m experiments.benchmarks.driver_levers OLDER [TURNS]
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SHAPES = ((32, 128, 64, 128), (16, 512, 256, 256), (1, 1024, 128, 128), (64, 96, 512, 512), (32, 784, 1, 128),
          (16, 200, 32, 32), (1, 100, 8, 8))  # B, T, D, F  # fmt: skip
CELLS = ("LSTM({})", "GRU({})", "RNN({})", "GRU({}, reset_after=False)")
RUNS, SECONDS = 9, 1.0  # in one process: at least so many runs, and more of a short step


def measure(text: str, batch: int, length: int, width: int) -> dict[str, float]:
    """Milliseconds of CPU time and MiB of temporary memory, in this process."""
    import jax
    import jax.numpy as jnp

    import seqjax as sj

    cell = sj.cell_from_text(text)
    params = cell.init(jax.random.key(1), width)
    xs = jax.random.normal(jax.random.key(0), (batch, length, width))
    loss = lambda p, x: jnp.mean(sj.scan(cell, p, x)[1] ** 2)
    step = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(params, xs).compile()
    jax.block_until_ready(step(params, xs))
    times: list[float] = []
    while len(times) < RUNS or (sum(times) < SECONDS and len(times) < 200):
        start = time.process_time()
        jax.block_until_ready(step(params, xs))
        times.append(time.process_time() - start)
    memory: Any = step.memory_analysis()
    return {"ms": 1e3 * min(times), "mib": memory.temp_size_in_bytes / 2**20}


def measure_apart(tree: Path, shape: tuple[int, int, int, int]) -> dict[str, dict[str, float]]:
    """`measure` for every cell, by the package in the folder `tree`, in a process of its own."""
    pin = ["taskset", "-c", "1"] if shutil.which("taskset") else []
    command = [*pin, sys.executable, str(Path(__file__).resolve()), "--one", *map(str, shape)]
    environment = os.environ | {"PYTHONPATH": str(tree), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def compare(shape: tuple[int, int, int, int], older: Path, turns: int) -> list[dict[str, Any]]:
    """A row for each cell: the older checkout is `before`, this one `after`."""
    here = Path(__file__).resolve().parents[2]
    found = [(measure_apart(older, shape), measure_apart(here, shape)) for _ in range(turns)]
    rows = []
    for cell in CELLS:
        before, after = (min(turn[side][cell]["ms"] for turn in found) for side in (0, 1))
        memory = [found[0][side][cell]["mib"] for side in (0, 1)]
        sizes = zip(("batch_size", "length", "in_features", "features"), shape)
        row: dict[str, Any] = {"cell": cell.format(shape[3])} | dict(sizes)
        row |= {"before_ms": round(before, 3), "after_ms": round(after, 3), "ratio": round(after / before, 3)}
        rows.append(row | {"before_mib": round(memory[0], 2), "after_mib": round(memory[1], 2)})
        print(*rows[-1].values(), flush=True)
    return rows


def main(older: Path, turns: int = 2) -> None:
    """Compare at every shape and store the rows."""
    from experiments.collect import write
    from experiments.harness.environment import where

    rows = [row | where() for shape in SHAPES for row in compare(shape, older.resolve(), turns)]
    write("benchmark_driver_levers", rows)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        *shape, features = map(int, sys.argv[2:])
        print(json.dumps({cell: measure(cell.format(features), *shape) for cell in CELLS}))
    else:
        main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
