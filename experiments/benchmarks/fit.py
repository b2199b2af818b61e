"""What `fit` costs beside a bare jitted loop of the same training step.

The step: a language model over 64 tokens with clipping and Adam, float32. Four programs take turns of `steps` steps:

    bare        the step, donated, on batches that lie on the device; nothing is read
    prefetched  the same on batches as `fit` has them, made by a thread
    read        as bare, and the loss is read in every step, as most training loops have it
    fit         with metrics.jsonl and a report every 100 steps

So that they share a moment of the machine, the others run inside the evaluation, which `fit` calls after each of its
turns. A turn ends when the device is done. The share is the median over turns of the time divided by that of bare in
the same turn.

    python -m experiments.benchmarks.fit [TURNS]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows
from seqjax._internal.types import Array, Key, PyTree
from seqjax.batching import Shuffled, prefetch, to_devices
from seqjax.losses import cross_entropy
from seqjax.train import Evaluation, Mean, TrainStep, fit, make_train_step

SIZES = {  # model, rows, steps of a sequence, training steps of a turn
    "RNN(32), 8 x 20": (sj.RNN(32), 8, 20, 800),
    "LSTM(32), 16 x 40": (sj.LSTM(32), 16, 40, 400),
    "LSTM(64), 32 x 64": (sj.LSTM(64), 32, 64, 100),
    "LSTM(256), 32 x 128": (sj.LSTM(256), 32, 128, 4),
}
ADAM, KEY = optax.adam(1e-3), jax.random.key(0)


def source_of(rows: int, length: int) -> Shuffled:
    """Random tokens, in memory."""
    tokens = np.random.default_rng(0).integers(0, 64, (2000, length + 1)).astype(np.uint8)
    return Shuffled(list(tokens), None, rows)


def loops(step: TrainStep, params: PyTree, source: Shuffled, steps: int) -> dict[str, Callable[[], None]]:
    """A turn of each of the other programs."""
    program = jax.jit(step, donate_argnums=0)
    states = {name: step.init(params, KEY) for name in ("bare", "prefetched", "read")}
    resident = [to_devices(source.batch(i)) for i in range(8)]
    ahead = prefetch(source, 0, 10**9)

    def turn(name: str, batch_of: Callable[[int], Any], read: bool) -> None:
        state = states[name]
        for i in range(steps):
            state, metrics = program(state, batch_of(i))
            if read:
                float(metrics["loss"].value())
        states[name] = jax.block_until_ready(state)

    return {
        "bare": lambda: turn("bare", lambda i: resident[i % 8], False),
        "prefetched": lambda: turn("prefetched", lambda i: next(ahead), False),
        "read": lambda: turn("read", lambda i: resident[i % 8], True),
    }


def times_of(cell: sj.Cell, rows: int, length: int, steps: int, turns: int) -> dict[str, list[float]]:
    """Milliseconds of a step by program and turn; the first turn, which compiles, is left out."""
    model = sj.stack(sj.Embed(64, 64), cell, sj.Dense(64))
    params, source = model.init(KEY, 0), source_of(rows, length)

    def loss(params: PyTree, batch: sj.Batch, key: Key[Array, ""]) -> Mean:
        _, logits = sj.scan(model, params, batch.inputs, lengths=batch.lengths)
        return Mean.of(cross_entropy(logits, batch.targets), batch.weights)

    step = make_train_step(loss, ADAM, clip=1.0)
    others = loops(step, params, source, steps)
    times: dict[str, list[float]] = {name: [] for name in (*others, "fit")}
    began = time.perf_counter()

    def run_others(params: PyTree) -> dict[str, float]:
        nonlocal began
        jax.block_until_ready(params)
        times["fit"].append((time.perf_counter() - began) / steps * 1e3)
        for name, turn in others.items():
            began = time.perf_counter()
            turn()
            times[name].append((time.perf_counter() - began) / steps * 1e3)
        began = time.perf_counter()
        return {"loss": float(len(times["fit"]))}  # no better than before, so nothing is copied

    with tempfile.TemporaryDirectory() as folder:
        evaluation = Evaluation(run_others, every=steps)
        state = step.init(params, KEY)
        fit(step, state, source, steps=steps * (turns + 1), evaluation=evaluation, log=folder, progress=False)
    return {name: taken[1:] for name, taken in times.items()}


def main(turns: int = 15) -> list[dict[str, Any]]:
    """Time all sizes, print the shares, and store the rows."""
    rows: list[dict[str, Any]] = []
    for size, (cell, batch_size, length, steps) in SIZES.items():
        times = times_of(cell, batch_size, length, steps, turns)
        for name, taken in times.items():
            share = float(np.median(np.divide(taken, times["bare"])))
            row = {"size": size, "program": name, "share_of_bare": share, "min_ms": min(taken)}
            rows.append(row | {"median_ms": float(np.median(taken)), "turns": turns, "steps": steps})
    print(table(text_rows(rows)))
    rows = [row | where("date", "python", "jax", "device") for row in rows]
    write("benchmark_fit", rows)
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
