"""Full back-propagation through a million steps: what reaches the first one, and can a network be trained on it?

The task is the oldest of its kind (Bengio et al. 1994; Hochreiter and Schmidhuber 1997): the first step says + or -,
all later ones are noise, and the answer is due after the last. Expectation: a tanh RNN, a GRU and an LSTM as they
usually begin feel nothing of the first step, as a factor below one a step leaves nothing of a gradient after some
thousand steps, and they stay at log 2. Chrono biases for a million steps (Tallec and Ollivier 2018) keep
1 - 10^-6 or so a step, and learn it.

Sequences are made piece by piece of a key (`sj.scan_sum`), and the backward pass keeps one carry a piece of sqrt(T)
steps, so that memory is small and no gradient is cut off. Training goes from a thousandth of the length to the whole.
The flow is measured on the whole sequence, before and after: `gradient_flow` keeps about 1 kB a step for LSTM(64),
so that sequences beyond `longest_flow` have only the loss, and what an update takes.

    python -m experiments.million_steps
    python -m experiments.million_steps --length 100000000 --batch-size 1 --updates 0 0 0 1 --cell "LSTM(128)"
"""

import functools
import math
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import seqjax as sj
from experiments.gradients.flows import powers
from experiments.harness.cells import cells_of, size_of
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import spread
from experiments.harness.tables import table
from seqjax import plot
from seqjax._internal.types import Array, Bool, Float, Int, Key, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import gradient_flow, log_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOISE, LOUD = 0.1, 10.0  # of the later steps, and the size of the first
TABLED = (100, 10_000, 1_000_000)  # steps back
SHOWN = 50  # powers of ten in the figure: what lies below is gone, whether 1e-100 or 1e-100,000
STAGES = (1000, 100, 10, 1)  # the length is divided by them, one after the other
SLOW = 5.0  # seconds of an update after which a line says so


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = ("RNN(128)", "GRU(128)", "LSTM(128)", "LSTM(128, bias_init=chrono(1000000))")
    """Cells, which read two numbers and whose last output a linear readout sees"""
    length: int = 1_000_000
    """Steps of a sequence"""
    updates: tuple[int, ...] = (150, 30, 10, 2)
    """At a thousandth, a hundredth, a tenth of the length, and at all of it"""
    batch_size: int = 4
    """Sequences"""
    learning_rate: float = 3e-3
    """Of Adam"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    longest_flow: int = 2_000_000
    """Beyond that the gradient norms by distance are not measured, for their memory"""
    seed: int = 0
    """Of parameters and sequences"""


@functools.partial(jax.tree_util.register_dataclass, data_fields=["key"], meta_fields=["rows"])
@dataclass(frozen=True)
class Sequences:
    """Signs and noise, a function of a key; never more than a piece of it in memory."""

    key: Key[Array, ""]
    rows: int

    def signs(self) -> Float[Array, " B"]:
        """+1 or -1: what the first step says, and the answer."""
        return jax.random.rademacher(jax.random.fold_in(self.key, 2**31), (self.rows,), jnp.float32)

    def piece(self, i: Int[Array, ""], steps: int) -> Float[Array, "B K 2"]:
        """Piece i of so many steps: noise and, at the first step of all, the sign; and a flag for that step."""
        noise = NOISE * jax.random.normal(jax.random.fold_in(self.key, i), (self.rows, steps))
        first = (jnp.arange(steps) == 0) & (i == 0)
        sign = jnp.where(first, LOUD * self.signs()[:, None], noise)
        return jnp.stack([sign, jnp.broadcast_to(jnp.where(first, LOUD, 0.0), sign.shape)], -1)


def main(config: Config) -> dict[str, Any]:
    """Measure, train and measure each cell; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range.
    """
    check_options(config, "length", "batch_size", "learning_rate", "clip")
    if config.length < STAGES[0] or len(config.updates) != len(STAGES):
        raise sj.ArgumentError(f"length must be at least {STAGES[0]}, and updates one for each of length / {STAGES}")
    cells = cells_of(config.cell)
    run = Run("million_steps", config, by=("cell", "phase"))
    rows = run.work({repr(cell): functools.partial(study, config, cell) for cell in cells})
    print(table(spread(rows, run.by)))
    if any("log10_norms" in row for row in rows):
        print_figures(run, lambda: {"norms": figure(rows)})
    summary = {"by": list(run.by), "measure": "loss_nats", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def study(config: Config, cell: sj.Cell, folder: Path) -> Rows:
    """Two rows: before training and after it."""
    model = sj.stack(cell, sj.Dense(1))
    params = jax.jit(model.init, static_argnums=1)(jax.random.key(config.seed), 2)
    before = measure(config, model, params)
    print_progress(f"loss at the start: {before['loss_nats']}")
    params, taken = fit(config, model, params)
    same: Row = {"cell": repr(cell), "seed": config.seed, "parameters": size_of(params)}
    after = measure(config, model, params) | taken
    return [same | {"phase": "start"} | before, same | {"phase": "trained"} | after]


def print_progress(line: str) -> None:
    """Print what a reader who waits for minutes wants to know, and when it was."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def answers(model: sj.Cell, length: int, params: PyTree, sequences: Sequences) -> Float[jax.Array, " B"]:
    """Logits after about so many steps, of which one piece at a time exists."""
    steps, count = pieces_of(length)

    def piece(i: Int[Array, ""]) -> tuple[Float[Array, "B K 2"], Bool[Array, ""]]:
        return sequences.piece(i, steps), i == count - 1

    def last(logits: Float[Array, "B K 1"], is_last: Bool[Array, ""]) -> Float[jax.Array, " B"]:
        return jnp.where(is_last, logits[:, -1, 0], 0.0)

    return sj.scan_sum(model, params, piece, last, count)[1]


def pieces_of(length: int) -> tuple[int, int]:
    """Steps of a piece and number of pieces, both about sqrt(length)."""
    steps = math.isqrt(length)
    return steps, length // steps


def nats(model: sj.Cell, length: int, params: PyTree, sequences: Sequences) -> tuple[jax.Array, jax.Array]:
    """Mean logistic loss, and the share of right signs."""
    margins = sequences.signs() * answers(model, length, params, sequences)
    return jnp.mean(jax.nn.softplus(-margins)), jnp.mean(margins > 0)


def fit(config: Config, model: sj.Cell, params: PyTree) -> tuple[PyTree, Row]:
    """Parameters after all stages, and what an update of the last of them took."""
    optimizer = optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(config.learning_rate))
    state, number, taken = optimizer.init(params), 0, Row()
    for part, updates in zip(STAGES, config.updates):
        loss = functools.partial(nats, model, config.length // part)

        def update(params: PyTree, state: PyTree, key: Key[Array, ""], loss: Any = loss) -> tuple[PyTree, PyTree]:
            gradient, _ = jax.grad(loss, has_aux=True)(params, Sequences(key, config.batch_size))
            changes, state = optimizer.update(gradient, state, params)
            return optax.apply_updates(params, changes), state

        key = jax.random.key(config.seed)
        compiled: Any = jax.jit(update).lower(params, state, key).compile() if updates else None
        for _ in range(updates):
            number += 1
            start = time.process_time()
            params, state = jax.block_until_ready(compiled(params, state, jax.random.fold_in(key, number)))
            taken = {"update_cpu_seconds": round(time.process_time() - start, 3)}
            if taken["update_cpu_seconds"] > SLOW:
                print_progress(f"update {number} of {sum(config.updates)}, at {config.length // part:,} steps: {taken}")
        if updates:
            taken |= {"update_steps": config.length // part, "temporary_mib": temporary_mib(compiled)}
    return params, taken | {"updates": number, "resident_mib": resident_mib()}


def temporary_mib(compiled: Any) -> float:
    """XLA's temporary memory of a program."""
    return round(compiled.memory_analysis().temp_size_in_bytes / 2**20, 2)


def resident_mib() -> float:
    """The most that this process has held so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, 1)


def measure(config: Config, model: Stack, params: PyTree) -> Row:
    """Loss and share of right answers on new sequences of the whole length; norms of the flow, relative to k = 1."""
    very_long = config.length > config.longest_flow
    rows = config.batch_size if very_long else max(config.batch_size, 8)
    new = Sequences(jax.random.fold_in(jax.random.key(config.seed), 0), rows)
    loss, right = jax.jit(functools.partial(nats, model, config.length))(params, new)
    row: Row = {"loss_nats": float(loss), "accuracy": float(right)}
    if very_long:
        return row
    logs = flow_of(model, config.length, params, Sequences(new.key, 1))
    at = distances(len(logs) - 1)
    ratios: Row = {f"log10_ratio_{k}": powers(logs[[k]] - logs[1])[0] for k in at if k in TABLED}
    return row | ratios | {"distances": at, "log10_norms": powers(logs[at])}


def flow_of(model: Stack, length: int, params: PyTree, sequences: Sequences) -> Float[np.ndarray, " T+1"]:
    """Natural logarithms of the norms of dL/d carry by distance, of the loss of one sequence."""
    steps, count = pieces_of(length)
    cell, _ = model.cells
    sign = sequences.signs()

    @jax.jit
    def norms(params: PyTree) -> jax.Array:
        pieces = jax.lax.map(lambda i: sequences.piece(i, steps), jnp.arange(count))
        xs = jnp.moveaxis(pieces, 0, 1).reshape(sequences.rows, count * steps, 2)
        loss = lambda y: jax.nn.softplus(-sign * sj.linear(params["1"], y)[:, 0])
        return gradient_flow(cell, params["0"], xs, loss).joint

    return log_mean(np.asarray(norms(params), np.float64))


def distances(length: int) -> list[int]:
    """Eight a decade, and the first step."""
    found = 10 ** (np.arange(8 * math.ceil(math.log10(length)) + 1) / 8)
    return sorted({*(round(k) for k in found if k <= length), length})


def figure(rows: Rows) -> "Figure":
    """Norms by distance, before training and after it, each relative to that one step back."""
    panels: dict[str, dict[str, list[float | None]]] = {}
    for row in rows:
        norms = [None if norm is None else norm - row["log10_norms"][1] for norm in row["log10_norms"]]
        panels.setdefault(str(row["phase"]), {})[str(row["cell"])] = norms
    drawn = plot.norm_by_length(panels, rows[0]["distances"], f"{rows[0]['distances'][-1]:,} steps")
    for axis in drawn.axes:
        axis.set(
            xlabel="steps back from the loss", ylabel="‖∂L_T / ∂carry‖ relative to k = 1", ylim=(-SHOWN, SHOWN / 5)
        )
        axis.set_xticks([k for k in (10**i for i in range(0, 12, 2)) if k <= rows[0]["distances"][-1]])
        axis.xaxis.set_major_formatter("{x:,.0f}")
    return drawn


if __name__ == "__main__":
    command(main, Config, __doc__)
