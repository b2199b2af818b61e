"""What does a small transformer give for characters of Shakespeare, beside recurrent networks of as many parameters?

Expectation: at equal parameters and updates gated cells and attention are close on texts this short and small, as most
of what can be predicted stands in the last few characters (Khandelwal et al. 2018). At equal time the order follows
the cost of a step, which on a CPU depends on the length: steps one after another for recurrence, and T^2 pairs for
attention. Attention's gradient reaches back without a factor for each step; a tanh RNN's fades (`gradient_norms`).

All models read windows of `length` characters anew. Recurrent cells get the width with which the model has as many
parameters as the largest of the others. Equal time is that in which the cheapest model makes all its updates, by
times measured in turns, so that a machine that slows down slows all. Seeds are one program. Memory is XLA's
temporary memory of a training step; reach is that of the last step's loss in the characters' vectors.

    python -m experiments.transformer_vs_rnn
"""

import functools
import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.char_lm import read_text
from experiments.harness import members
from experiments.harness.cells import count_parameters, match_parameters
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.folder import write_json
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from seqjax import Batch, batching, losses, plot, train
from seqjax._internal.types import Array, Float, Int, Key, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import gradient_flow, half_life, log_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLOCK = "as_cell(TransformerBlock, 32, 4, positions='rotary', capacity=1024)"
MEASURE = "bits_per_character"
POSITIVE = ("embedding", "length", "lengths", "turns", *members.POSITIVE)


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    cell: tuple[str, ...] = (
        "RNN(64)",
        "GRU(64)",
        "LSTM(64)",
        f"repeat({BLOCK}, 2)",
        f"stack(GRU(32), {BLOCK}, GRU(32))",
    )
    """Cells to compare, between an embedding and a linear readout; those with a width alone get another"""
    embedding: int = 32
    """Features of a character"""
    length: int = 128
    """Characters of a window"""
    lengths: tuple[int, ...] = (64, 256, 1024)
    """Window lengths at which a training step's time and memory are measured"""
    batch_size: int = 16
    """Windows in a batch"""
    steps: int = 2000
    """Updates"""
    turns: int = 5
    """Timed training steps of each cell and length, after one that is not timed"""


class Text(NamedTuple):
    """Characters of the splits for training and test, and how many there are."""

    seen: Int[Array, " T"]
    new: Int[Array, " S"]
    size: int


def main(config: Config) -> dict[str, Any]:
    """Measure costs, train each cell; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or a cell that cannot be trained.
    """
    check_options(config, *POSITIVE)
    vocabulary, ids = read_text(0)
    text = Text(ids[0], ids[2], len(vocabulary))
    models = match(config, text)
    run = Run("transformer_vs_rnn", config, by=("cell",))
    costs = run.folder / "costs.json"
    jobs = {"costs": functools.partial(measure_costs, config, models, text, costs)}
    jobs |= {name: functools.partial(study, config, name, model, text, costs) for name, model in models.items()}
    rows = run.work(jobs)
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {MEASURE: figure(rows)})
    summary = {"by": list(run.by), "measure": MEASURE, "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def figure(rows: Rows) -> "Figure":
    """Bits in training and in the test, with intervals over the seeds; of the table in results/ the test alone."""
    curves: dict[str, list[tuple[list[float], list[float]]]] = {}
    ends: dict[str, list[float]] = {}
    for row in rows:
        name = re.sub(r"as_cell\(Transformer\w+[^()]*\)", "attention", row["cell"])
        ends.setdefault(name, []).append(float(row[MEASURE]))
        if "train_bits" in row:
            steps = [int(row["updates"]) * (i + 1) / len(row["train_bits"]) for i in range(len(row["train_bits"]))]
            curves.setdefault(name, []).append((steps, row["train_bits"]))
    results = {name: interval(values) for name, values in ends.items()}
    return plot.comparison(curves, results, MEASURE, title="Shakespeare at equal parameters", bounds=(0, math.inf))


def match(config: Config, text: Text) -> dict[str, Stack]:
    """The models by the cells they are made of, recurrent ones with as many parameters as the largest of the others."""
    cells = [sj.cell_from_text(words) for words in config.cell]
    for cell in cells:
        if not cell.causal or cell.feature_axes != 1 or cell.asks & {"key", "memory"}:
            raise sj.ArgumentError(f"cell: {cell!r} must read vectors step by step, without random numbers or a memory")

    def model_of(cell: sj.Cell) -> Stack:
        return sj.stack(sj.Embed(text.size, config.embedding), cell, sj.Dense(text.size))

    others = [count_parameters(model_of(cell), 0) for cell in cells if not isinstance(cell, sj.Gated)]
    found = {}
    for cell in cells:
        if others and isinstance(cell, sj.Gated):
            cell = match_parameters(cell, max(others), 0, model_of)
        found[repr(cell)] = model_of(cell)
    return found


def measure_costs(config: Config, models: dict[str, Stack], text: Text, path: Path, folder: Path) -> Rows:
    """Milliseconds and temporary memory of a training step, all cells and lengths in turn, into a file."""
    programs: dict[str, Callable[[], PyTree]] = {}
    row: Row = {}
    for name, model in models.items():
        params = model.init(jax.random.key(config.seed), 0)
        for length in sorted({config.length, *config.lengths}):
            batch = draw(text.seen, config.batch_size, length, jax.random.key(0))
            step = jax.jit(jax.grad(lambda p, b, model=model: nats(model, p, b, None).value()))
            compiled = step.lower(params, batch).compile()
            memory: Any = compiled.memory_analysis()
            row[f"{name} temporary_mib_{length}"] = round(memory.temp_size_in_bytes / 2**20, 3)
            programs[f"{name} step_ms_{length}"] = functools.partial(compiled, params, batch)
    times: dict[str, list[float]] = {key: [] for key in programs}
    for turn in range(config.turns + 1):
        for key, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program())
            if turn:
                times[key].append(1e3 * (time.perf_counter() - start))
    write_json(path, row | {key: round(float(np.median(found)), 3) for key, found in times.items()})
    return []


def study(config: Config, name: str, model: Stack, text: Text, path: Path, folder: Path) -> Rows:
    """Train all members; a row for each."""
    begun, costs = time.time(), json.loads(path.read_text())
    seen = batching.Synthetic(functools.partial(draw, text.seen, config.batch_size, config.length), seed=config.seed)
    found = members.fit_members(model, functools.partial(nats, model), seen, config, rows=40)
    own = {key.removeprefix(f"{name} "): value for key, value in costs.items() if key.startswith(f"{name} ")}
    fastest = min(value for key, value in costs.items() if key.endswith(f" step_ms_{config.length}"))
    updates = max(1, int(config.steps * fastest / own[f"step_ms_{config.length}"]))
    then = min(found.history, key=lambda row: abs(row["step"] - updates))
    rows = []
    for i, seed in enumerate(config.seeds):
        params = members.params_of(found, i)
        row = {"cell": name, "seed": seed, **held_out(model, params, text, config)}
        row |= {f"valid_{MEASURE}": bits_of(found.history[-1], i)}
        row |= {"train_bits": [round(bits_of(each, i), 4) for each in found.history]}
        rows.append(row | {"updates_at_equal_time": updates, "train_bits_at_equal_time": bits_of(then, i)})
    same = {"parameters": count_parameters(model, 0), "updates": config.steps, "seconds": round(time.time() - begun, 1)}
    return [row | same | own for row in rows]


def held_out(model: Stack, params: PyTree, text: Text, config: Config) -> Row:
    """Bits a character of the test, and the reach of the gradient in its first batch."""
    keys = jax.random.split(jax.random.key(config.seed + 2_000_000), 20)
    batches = jax.vmap(functools.partial(draw, text.new, config.batch_size, config.length))(keys)
    bits = float(held_out_nats(model, params, batches)) / math.log(2)
    return {MEASURE: bits, **reach(model, params, jax.tree.map(lambda leaf: leaf[0], batches))}


def bits_of(row: Row, member: int) -> float:
    """Bits a character of training windows, a mean over the updates of a row of the history, which were new then."""
    return float(np.asarray(row["loss"])[member, 0]) / math.log(2)


@functools.partial(jax.jit, static_argnums=0)
def held_out_nats(model: Stack, params: PyTree, batches: Batch) -> Float[jax.Array, ""]:
    """Nats a character over several batches."""
    return jnp.mean(jax.lax.map(lambda batch: nats(model, params, batch, None).value(), batches))


def reach(model: Stack, params: PyTree, batch: Batch) -> Row:
    """How far back the loss of the last step reaches in the vectors of the characters, a mean over the batch."""
    front, *middle = model.cells
    assert isinstance(front, sj.Embed)
    xs = sj.scan(front, params["0"], batch.inputs)[1]
    logs = log_mean(input_norms(sj.stack(*middle), _renumber(params), xs, batch.targets[:, -1]))[::-1]
    distances = [k for k in (10, 100) if k < len(logs)]
    columns = {f"log10_input_norm_at_distance_{k}": float(logs[k] - logs[0]) / math.log(10) for k in distances}
    half = half_life(logs)
    return {"input_half_life_steps": half if math.isfinite(half) else None} | columns


@functools.partial(jax.jit, static_argnums=0)
def input_norms(
    cell: Stack, params: PyTree, xs: Float[Array, "B T D"], targets: Int[Array, " B"]
) -> Float[jax.Array, "B T"]:
    """Log norms of dL/dx_t of the last step's loss."""
    found = gradient_flow(cell, params, xs, lambda y: losses.cross_entropy(y, targets)).inputs
    assert found is not None
    return found


def _renumber(params: PyTree) -> PyTree:
    """Parameters of a stack without its first cell."""
    return {str(int(name) - 1): value for name, value in params.items() if name != "0"}


def draw(ids: Int[Array, " S"], batch_size: int, length: int, key: Key[jax.Array, ""]) -> Batch:
    """Windows from anywhere in the text, and the next character of each step."""
    starts = jax.random.randint(key, (batch_size, 1), 0, len(ids) - length)
    cut = jnp.asarray(ids)[starts + jnp.arange(length + 1)[None]]
    return Batch(cut[:, :-1], cut[:, 1:], jnp.ones((batch_size, length), bool), jnp.full(batch_size, length))


def nats(model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None) -> train.Mean:
    """Cross-entropy a character in nats."""
    _, logits = sj.scan(model, params, batch.inputs)
    return train.Mean.of(losses.cross_entropy(logits, batch.targets))


if __name__ == "__main__":
    command(main, Config, __doc__)
