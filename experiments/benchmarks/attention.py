"""Attention forward and gradient of q, k and v: both backends of seqjax beside jax.nn, Flax and torch, in one run.

One row, 4 heads of 64, float32. The gradients are compared first. The JAX programs take turns, so that a machine that
slows down slows all of them; torch runs between them in a process of its own. CPU time is that of all threads: on a
machine with other work it is the steadier number. Memory is XLA's temporary memory of the compiled program. Programs
that hold all scores are left out from ALL_SCORES tokens on, but for jax.nn.

    python -m experiments.benchmarks.attention [RUNS]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows
from seqjax import attention

LENGTHS, HEADS, WIDTH, ALL_SCORES = (128, 256, 512, 1024, 2048, 4096, 8192), 4, 64, 8192
Times = dict[str, list[float]]


class Program:
    """A compiled forward and gradient with its arguments."""

    def __init__(self, attend: Callable[..., jax.Array], data: list[jax.Array]) -> None:
        *self.args, cotangent = data
        gradient = jax.grad(lambda *qkv: jnp.vdot(attend(*qkv), cotangent), (0, 1, 2))
        self.compiled = jax.jit(gradient).lower(*self.args).compile()
        memory: Any = self.compiled.memory_analysis()
        self.temp = memory.temp_size_in_bytes / 2**20
        self.times: Times = {"wall": [], "cpu": []}
        self.gradient = self.compiled(*self.args)[0]

    def run(self) -> None:
        """Once more."""
        start, cpu_start = time.perf_counter(), time.process_time()
        jax.block_until_ready(self.compiled(*self.args))
        self.times["wall"].append(1e3 * (time.perf_counter() - start))
        self.times["cpu"].append(1e3 * (time.process_time() - cpu_start))


def programs(length: int, causal: bool, data: list[jax.Array]) -> dict[str, Program]:
    """The JAX programs by name."""
    mask = attention.causal() if causal else None
    flags = jnp.tril(jnp.ones((1, 1, length, length), bool)) if causal else None
    found = {
        "jax.nn": lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=causal),
        "chunked": lambda q, k, v: attention.dot_product(q, k, v, mask, backend="chunked"),
        "plain": lambda q, k, v: attention.dot_product(q, k, v, mask, backend="plain"),
        "flax": lambda q, k, v: nnx.dot_product_attention(q, k, v, mask=flags),
    }
    if length >= ALL_SCORES:
        del found["plain"], found["flax"]
    return {name: Program(attend, data) for name, attend in found.items()}


def torch_times(data: list[jax.Array], causal: bool, turns: int, gradient: jax.Array) -> Times | None:
    """Those of torch, after its gradient was compared; None without torch."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "data.npz")
        np.savez(path, q=data[0], k=data[1], v=data[2], cotangent=data[3], causal=np.array(causal))
        command = [sys.executable, "-m", "experiments.benchmarks.attention_torch", path, str(turns)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"torch is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        compare(np.load(path + ".gradient.npy"), gradient)
        return json.loads(done.stdout)


def compare(found: Any, wanted: jax.Array) -> None:
    """Gradients of q agree to a part in 10,000 of the largest."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * float(jnp.max(abs(wanted))))


def measure(length: int, causal: bool, runs: int) -> list[dict[str, Any]]:
    """The rows of one length."""
    data = list(jax.random.normal(jax.random.key(length), (4, 1, length, HEADS, WIDTH)))
    found = programs(length, causal, data)
    base = found["jax.nn"]
    for program in found.values():
        compare(program.gradient, base.gradient)
    for _ in range(runs):
        for program in found.values():
            program.run()
    times = {name: program.times for name, program in found.items()}
    if theirs := torch_times(data, causal, runs, base.gradient):
        times["torch"] = theirs
    rows = []
    for name, taken in times.items():
        row = {"length": length, "causal": causal, "program": name}
        for kind in ("cpu", "wall"):
            low, middle = min(taken[kind]), float(np.median(taken[kind]))
            row |= {f"{kind}_over_jax": low / min(base.times[kind]), f"{kind}_min_ms": low, f"{kind}_median_ms": middle}
        rows.append(row | {"temporary_mib": found[name].temp if name in found else None, "runs": runs})
    return rows


def main(runs: int = 7) -> list[dict[str, Any]]:
    """Time everything, print ratios to jax.nn, and store the rows."""
    rows: list[dict[str, Any]] = []
    for length in LENGTHS:
        for causal in (True, False):
            rows += measure(length, causal, runs if length < 4096 else min(runs, 3))
    print(table(text_rows(rows)))
    write("benchmark_attention", [row | where() | {"flax": flax.__version__} for row in rows])
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
