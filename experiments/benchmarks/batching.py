"""What batches cost beside a small training step: seqjax's sources, prefetch, Grain, and torch's DataLoader.

The step: an LSTM(64) language model over 64 tokens, batch 32, 64 steps, Adam, float32. The examples: 20,000 sequences
of 6 to 65 random tokens in memory, shuffled, cut into inputs and next tokens, padded to 64; a text of a million tokens;
a series of 20,000 steps with 8 columns. Programs take turns, so that a machine that slows down slows all of them. Torch
runs afterwards and alone, on one thread of a process of its own, as its threads and those of JAX disturb each other.
A time is the mean of the `BATCHES` batches or `STEPS` steps of a turn (readers ahead give batches in bursts), the share
is of the median of the bare step.

    python -m experiments.benchmarks.batching [TURNS]
"""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from experiments.benchmarks.batching_torch import BATCH, BATCHES, LENGTH, examples, turn
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows
from seqjax.batching import Buckets, RandomWindows, Shuffled, Stream, Windows, prefetch, to_devices
from seqjax.batching.batch import Batch

STEPS = 25  # a turn


def training_step() -> Callable[[Batch], None]:
    """A step of training that waits until it is done."""
    model = sj.stack(sj.Embed(64, 64), sj.LSTM(64), sj.Dense(64))
    params = model.init(jax.random.key(0), 0)
    adam = optax.adam(1e-3)

    def loss(params: Any, batch: Batch) -> jax.Array:
        _, logits = sj.scan(model, params, batch.inputs, lengths=batch.lengths)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets)
        return jnp.sum(losses * batch.weights) / jnp.sum(batch.weights)

    @jax.jit
    def update(params: Any, state: Any, batch: Batch) -> tuple[Any, Any]:
        updates, state = adam.update(jax.grad(loss)(params, batch), state)
        return optax.apply_updates(params, updates), state

    now = [params, adam.init(params)]

    def step(batch: Batch) -> None:
        now[:] = jax.block_until_ready(update(*now, batch))

    return step


def sources() -> dict[str, Any]:
    """Every kind of source, by name."""
    rng = np.random.default_rng(0)
    text = rng.integers(0, 64, 1_000_000).astype(np.uint8)
    series = rng.normal(size=(20_000, 8)).astype(np.float32)
    shuffled = Shuffled(examples(), None, BATCH, length=LENGTH)
    return {
        "Shuffled": shuffled,
        "Shuffled, labels": Shuffled(shuffled.inputs, np.arange(len(shuffled.lengths)), BATCH),
        "Buckets(8)": Buckets(shuffled.inputs, None, BATCH),
        "Stream": Stream(text, BATCH, LENGTH),
        "RandomWindows": RandomWindows(text, BATCH, LENGTH),
        "Windows": Windows(series, LENGTH, 16, batch_size=BATCH),
    }


def grain_batches(threads: int) -> Iterator[Any]:
    """The examples through Grain as its manual has it; its default is 16 reading threads."""
    import grain

    def cut(ids: np.ndarray) -> Batch:
        inputs, targets = np.zeros((2, LENGTH), np.int32)
        n = len(ids) - 1
        inputs[:n], targets[:n] = ids[:-1], ids[1:]
        return Batch(inputs, targets, np.arange(LENGTH) < n, np.array(n, np.int32))

    data = grain.MapDataset.source(examples()).shuffle(seed=0).map(cut).repeat().batch(BATCH)
    return iter(data.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=16 * bool(threads))))


def programs() -> dict[str, Callable[[int], Any]]:
    """What is timed, by name: functions of the step."""
    step, made = training_step(), sources()
    shuffled = made["Shuffled"]
    resident = to_devices(shuffled.batch(0))
    ahead = prefetch(shuffled, 0, 10**9, transfer=to_devices)
    found: dict[str, Callable[[int], Any]] = {
        "step alone": lambda i: step(resident),
        "step with Shuffled": lambda i: step(shuffled.batch(i)),
        "step with prefetch": lambda i: step(next(ahead)),
    }
    found |= {f"{name}.batch": source.batch for name, source in made.items()}
    try:
        for threads in (0, 16):
            batches = grain_batches(threads)
            found[f"grain, {threads} threads"] = lambda i, batches=batches: next(batches)  # type: ignore[misc]
    except ImportError:
        print("grain is not installed, so it is left out", file=sys.stderr)
    return found


def torch_times(turns: int) -> dict[str, list[float]]:
    """Microseconds of a batch of the DataLoader by turn, from a process without JAX."""
    command = [sys.executable, "-m", "experiments.benchmarks.batching_torch", str(turns)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"torch is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    return json.loads(done.stdout)


def version(package: str) -> str:
    """The installed version, or nothing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def main(turns: int = 7) -> list[dict[str, Any]]:
    """Time everything, print the shares of a step, and store the rows."""
    found = programs()
    times: dict[str, list[float]] = {name: [] for name in found}
    for i in range(turns + 1):
        for name, program in found.items():
            count = STEPS if name.startswith("step") else BATCHES
            times[name].append(turn(program, i * count, count))
    times = {name: taken[1:] for name, taken in times.items()} | torch_times(turns)  # the first turn warms up
    bare = float(np.median(times["step alone"]))
    versions = where("date", "python", "jax", "device") | {p: version(p) for p in ("numpy", "grain", "torch")}
    rows: list[dict[str, Any]] = []
    for name, taken in times.items():
        middle = float(np.median(taken))
        rows.append(
            {"program": name, "share_of_step": middle / bare, "min_us": min(taken), "median_us": middle, "turns": turns}
        )
    print(table(text_rows(rows)))
    rows = [row | versions for row in rows]
    write("benchmark_batching", rows)
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
