"""What does a written token cost, beside a step in a bare `lax.scan`, and beside the loop of transformers?

STEPS tokens after one first token, a vocabulary of 8,000, float32: an LSTM(512), the same that attends to 32 slots, and
a GPT-2 of 4 layers of 256. "bare" is `lax.scan` of step and argmax, without logs, ends or checks: greedy decoding
should cost little more. transformers runs on the same weights in a process of its own. The JAX programs take turns.
CPU time is that of all threads: on a machine with other work it is the steadier number.

    python -m experiments.benchmarks.decoding [TURNS]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import seqjax as sj
from experiments.collect import write
from experiments.harness.environment import where
from experiments.harness.tables import table, text_rows
from seqjax import decode
from seqjax.interop import as_cell, to_huggingface
from seqjax.nn import TransformerDecoder
from seqjax.seq2seq import Memory, attend

V, STEPS, BATCHES, SLOTS = 8000, 64, (1, 32), 32
SIZES: dict[str, Any] = {"capacity": 128}
Times = dict[str, Any]


def models() -> dict[str, sj.Cell]:
    """By name."""
    return {
        "LSTM": sj.stack(sj.Embed(V, 256), sj.LSTM(512), sj.Dense(V)),
        "attending LSTM": sj.stack(sj.Embed(V, 256), attend(sj.LSTM(512), memory_features=512), sj.Dense(V)),
        "GPT-2": as_cell(TransformerDecoder, V, 256, 4, 4, **SIZES),
    }


def start(cell: sj.Cell, params: Any, batch: int) -> Any:
    """The carry to begin with."""
    if not cell.asks:
        return cell.initial_carry(params, (batch,))
    memory = Memory(jax.random.normal(jax.random.key(1), (batch, SLOTS, 512)))
    begin: Any = cell.initial_carry
    return begin(params, (batch,), memory=memory)


def bare(cell: sj.Cell) -> Callable[..., jax.Array]:
    """The least that greedy decoding can be."""

    @jax.jit
    def run(params: Any, first: jax.Array, carry: Any) -> jax.Array:
        def body(now: tuple[Any, jax.Array], _: None) -> tuple[tuple[Any, jax.Array], jax.Array]:
            carry, logits = cell.step(params, *now)
            token = jnp.argmax(logits, axis=-1).astype(jnp.int32)
            return (carry, token), token

        return jax.lax.scan(body, (carry, first), None, length=STEPS)[1].T

    return run


def programs(cell: sj.Cell, params: Any, batch: int) -> dict[str, Callable[[], jax.Array]]:
    """The JAX programs by name, each giving the ids `[B, L]` that it wrote."""
    first, carry, run = jnp.arange(1, batch + 1, dtype=jnp.int32), start(cell, params, batch), bare(cell)

    def best(strategy: Any) -> jax.Array:
        tokens = decode.generate(cell, params, first, steps=STEPS, carry=carry, strategy=strategy).tokens
        return jnp.asarray(tokens).reshape(batch, -1, STEPS)[:, 0]

    return {
        "bare": lambda: run(params, first, carry),
        "greedy": lambda: best(decode.greedy()),
        "beam 5": lambda: best(decode.beam(5)),
    }


def time_ours(found: dict[str, Callable[[], jax.Array]], turns: int) -> dict[str, Times]:
    """Wall and CPU times of each, in turns, and what it wrote."""
    times: dict[str, Times] = {name: {"wall": [], "cpu": [], "ids": run().tolist()} for name, run in found.items()}
    for _ in range(turns):
        for name, run in found.items():
            begin, cpu_begin = time.perf_counter(), time.process_time()
            jax.block_until_ready(run())
            times[name]["wall"].append(1e3 * (time.perf_counter() - begin))
            times[name]["cpu"].append(1e3 * (time.process_time() - cpu_begin))
    return times


def time_theirs(params: Any, batch: int, beams: int, turns: int) -> Times | None:
    """Those of transformers on the same weights; None without it."""
    module = TransformerDecoder(V, 256, 4, 4, **SIZES, rngs=nnx.Rngs(0))
    state = nnx.state(module, nnx.Param)
    nnx.replace_by_pure_dict(state, params)
    nnx.update(module, state)
    with tempfile.TemporaryDirectory() as folder:
        to_huggingface(module, Path(folder) / "model")
        words = [str(Path(folder) / "model"), *map(str, (batch, STEPS, beams, turns))]
        command = [sys.executable, "-m", "experiments.benchmarks.decoding_torch", *words]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"transformers is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def measure(name: str, cell: sj.Cell, batch: int, turns: int) -> list[dict[str, Any]]:
    """The rows of one model and batch."""
    params = cell.init(jax.random.key(0), 0)
    times = time_ours(programs(cell, params, batch), turns)
    for beams, program in ((1, "greedy"), (5, "beam 5")):
        if name == "GPT-2" and (theirs := time_theirs(params, batch, beams, turns)):
            times[f"{program}, transformers"] = theirs
    rows = []
    for program, taken in times.items():
        alike = taken["ids"] == times[program.split(",")[0]]["ids"]
        row: dict[str, Any] = {"model": name, "batch_size": batch, "program": program, "same_ids_as_ours": alike}
        for kind in ("cpu", "wall"):
            low = min(taken[kind])
            row |= {f"{kind}_over_bare": low / min(times["bare"][kind]), f"{kind}_min_ms": low}
            row[f"{kind}_median_ms"] = float(np.median(taken[kind]))
        rows.append(row | {"tokens_per_wall_s": 1e3 * batch * STEPS / row["wall_min_ms"], "runs": turns})
    return rows


def main(turns: int = 3) -> list[dict[str, Any]]:
    """Time everything, print ratios to the bare loop, and store the rows."""
    rows: list[dict[str, Any]] = []
    for name, cell in models().items():
        for batch in BATCHES:
            new = measure(name, cell, batch, turns)
            print(table(text_rows(new)), flush=True)
            rows += new
    write("benchmark_decoding", [row | where() for row in rows])
    return rows


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
