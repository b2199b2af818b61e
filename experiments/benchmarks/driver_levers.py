"""One recurrent layer in this checkout and in an older one, in processes that take turns.

`train` is the gradient of the mean square of all outputs in parameters and inputs, `forward` the last carry and all
outputs, float32; lengths are drawn between T / 2 and T. Times are CPU time of the process, pinned to one core where
`taskset` is at hand, the minimum over all turns; memory is XLA's temporary memory. The rows of the table that compare
with another older commit stay in it.

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

CELLS = ("LSTM({})", "GRU({})", "RNN({})", "GRU({}, reset_after=False)")
WORKS = (
    *((cell, "train", "without") for cell in (*CELLS, "RNN({}, activation='relu')")),
    *((cell, "train", "with") for cell in CELLS[:3]),
    *((cell, "forward", "without") for cell in CELLS),
)  # cell, call, lengths
RUNS, SECONDS = 7, 1.0  # in one process: at least so many runs, and more of a short step
POINTS = ("before", "cell", "call", "lengths", "batch_size", "length", "in_features", "features")

Shape = tuple[int, int, int, int]
Work = tuple[str, str, str]


def compile_work(work: Work, shape: Shape) -> tuple[Any, tuple[Any, ...]]:
    """The compiled program and its arguments, of the seqjax that this process imports."""
    import jax
    import jax.numpy as jnp

    import seqjax as sj

    (text, call, ragged), (batch, length, width, features) = work, shape
    cell = sj.cell_from_text(text.format(features))
    params = cell.init(jax.random.key(1), width)
    xs = jax.random.normal(jax.random.key(0), (batch, length, width))
    lengths = jax.random.randint(jax.random.key(2), (batch,), length // 2, length + 1) if ragged == "with" else None
    run = lambda p, x: sj.scan(cell, p, x, lengths=lengths)
    step = run if call == "forward" else jax.grad(lambda p, x: jnp.mean(run(p, x)[1] ** 2), argnums=(0, 1))
    return jax.jit(step).lower(params, xs).compile(), (params, xs)


def measure(work: Work, shape: Shape) -> dict[str, float]:
    """Milliseconds of CPU time and MiB of temporary memory, in this process."""
    import jax

    program, args = compile_work(work, shape)
    jax.block_until_ready(program(*args))
    times: list[float] = []
    while len(times) < RUNS or (sum(times) < SECONDS and len(times) < 200):
        start = time.process_time()
        jax.block_until_ready(program(*args))
        times.append(time.process_time() - start)
    memory: Any = program.memory_analysis()
    return {"ms": 1e3 * min(times), "mib": memory.temp_size_in_bytes / 2**20}


def measure_apart(tree: Path, shape: Shape) -> list[dict[str, float]]:
    """`measure` for every work, by the package in the folder `tree`, in a process of its own."""
    pin = ["taskset", "-c", str(max(os.sched_getaffinity(0)))] if shutil.which("taskset") else []
    command = [*pin, sys.executable, str(Path(__file__).resolve()), "--one", *map(str, shape)]
    environment = os.environ | {"PYTHONPATH": str(tree), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def compare(shape: Shape, older: Path, turns: int) -> list[dict[str, Any]]:
    """A row for each work: the older checkout is `before`, this one `after`."""
    here, name = Path(__file__).resolve().parents[2], ("git", "rev-parse", "--short=7", "HEAD")
    commit = subprocess.run(name, cwd=older, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    found = [(measure_apart(older, shape), measure_apart(here, shape)) for _ in range(turns)]
    rows = []
    for i, (cell, call, ragged) in enumerate(WORKS):
        before, after = (min(turn[side][i]["ms"] for turn in found) for side in (0, 1))
        memory = [found[0][side][i]["mib"] for side in (0, 1)]
        point = (commit, cell.format(shape[3]), call, ragged, *shape)
        row: dict[str, Any] = dict(zip(POINTS, point, strict=True))
        row |= {"before_ms": round(before, 3), "after_ms": round(after, 3), "ratio": round(after / before, 3)}
        rows.append(row | {"before_mib": round(memory[0], 2), "after_mib": round(memory[1], 2)})
        print(*rows[-1].values(), flush=True)
    return rows


def main(older: Path, turns: int = 2) -> None:
    """Compare at every shape and store the rows."""
    from experiments.benchmarks.peers.work import SHAPES
    from experiments.collect import update
    from experiments.harness.environment import where

    for shape in SHAPES:
        update("benchmark_driver_levers", [row | where() for row in compare(shape, older.resolve(), turns)], POINTS)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        batch, length, width, features = map(int, sys.argv[2:])
        print(json.dumps([measure(work, (batch, length, width, features)) for work in WORKS]))
    else:
        main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
