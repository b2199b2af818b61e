"""What a call costs beside the work: `scan` outside `jit`, streams of single steps, and a gradient flow.

Calls take turns with the compiled program of the same work, so that a machine that slows down slows both. "first" is
a call with its compilation. A gradient flow is compared with a plain gradient of the same loss (deferred gradients).

    python -m experiments.benchmarks.calls [RUNS]
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
from seqjax.diagnostics import gradient_flow

SMALL = ("LSTM(16)", "stack(Embed(50, 16), LSTM(16), GRU(16), Dense(50))")
FLOWS = ("RNN(64)", "LSTM(64)", "GRU(64)", "stack(LSTM(32), GRU(32))", "bidirectional(LSTM(32))")
FLOW_SHAPE = (16, 2000, 32)  # B, T, D


def time_call(call: Callable[[], Any]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return 1e3 * (time.perf_counter() - start)


def in_turns(calls: dict[str, Callable[[], Any]], runs: int) -> dict[str, tuple[float, np.ndarray]]:
    """The first time and the others of each call."""
    first = {name: time_call(call) for name, call in calls.items()}
    turns = [{name: time_call(call) for name, call in calls.items()} for _ in range(runs)]
    return {name: (first[name], np.array([turn[name] for turn in turns])) for name in calls}


def small_calls(text: str) -> dict[str, Callable[[], Any]]:
    """Ways to run 20 steps of a batch of 4, and one step of a stream."""
    cell: Any = sj.cell_from_text(text)
    params = cell.init(jax.random.key(0), 16)
    xs = np.zeros((4, 20), np.int32) if cell.feature_axes == 0 else np.zeros((4, 20, 16), np.float32)
    lengths, carry = np.array([3, 20, 0, 7]), cell.initial_carry(params, (4,))
    program = jax.jit(lambda p, x: sj.scan(cell, p, x))
    step = jax.jit(cell.step)
    return {
        "20 steps: compiled program": lambda: program(params, xs),
        "20 steps: scan": lambda: sj.scan(cell, params, xs),
        "20 steps: scan, carry and lengths": lambda: sj.scan(cell, params, xs, carry, lengths=lengths),
        "20 steps: trace": lambda: sj.trace(cell, params, xs),
        "1 step: jax.jit(cell.step)": lambda: step(params, carry, xs[:, 0]),
        "1 step: scan": lambda: sj.scan(cell, params, xs[:, :1], carry),
        "1 step: cell.step": lambda: cell.step(params, carry, jnp.asarray(xs[:, 0])),
    }


def flow_calls(text: str) -> dict[str, Callable[[], Any]]:
    """All norms of a gradient flow, and the plain gradient of the same loss."""
    cell = sj.cell_from_text(text)
    xs = jax.random.normal(jax.random.key(1), FLOW_SHAPE)
    params = cell.init(jax.random.key(0), FLOW_SHAPE[-1])
    last = lambda y: jnp.sum(y, axis=-1)
    plain = jax.jit(jax.grad(lambda p: jnp.mean(last(sj.scan(cell, p, xs)[1][:, -1]))))
    return {
        "2000 steps: gradient": lambda: plain(params),
        "2000 steps: gradient_flow": lambda: gradient_flow(cell, params, xs, last),
    }


def main(runs: int = 50) -> list[dict[str, Any]]:
    """Time everything, print a table, store the rows."""
    rows: list[dict[str, Any]] = []
    for texts, calls, turns in ((SMALL, small_calls, runs), (FLOWS, flow_calls, 7)):
        for text in texts:
            found = in_turns(calls(text), turns)
            least = next(iter(found.values()))[1]
            for name, (first, times) in found.items():
                work, call = name.split(": ")
                ratio = float(np.median(times / least)) if "step:" not in name else None
                row = {"cell": text, "work": work, "call": call, "min_ms": float(times.min())}
                rows.append(
                    row | {"median_ms": float(np.median(times)), "first_ms": first, "ratio": ratio, "runs": turns}
                )
    print(table(text_rows(rows)))
    rows = [row | where() for row in rows]
    write("benchmark_calls", rows)
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
