"""How far back does a forget bias let a gated cell remember, and does it learn what needs that memory?

Expectation: a gate of sigmoid(b) keeps that share a step, so that the gradient in the state falls as sigmoid(b)^k, its
time constant is -1 / ln sigmoid(b) steps (1.4 for b = 0, 3.2 for 1, 149 for 5), and its half-life ln 2 times that. A
forget bias of 1 or 2 is enough for most tasks (Gers et al. 2000; Jozefowicz et al. 2015), and long delays ask for more,
as chrono biases give it: ln U(1, T - 1), time constants spread up to T (Tallec and Ollivier 2018).

Measured are the gradient's rate of decay, half-life and horizon (the last step back with more than 1 % of it) through
the whole cell, and through its gates alone (the product of their values), on adding sequences of `reach` steps, and the
median time constant of the gates; at the start, and after a training on the adding problem at lengths within and beyond
the horizon. Predicted is what the gates' biases alone do; for chrono it is the norm over units that each keep another
share. A rate below 0 grows: its half-life is negative, its horizon all of `reach`. Solved is a mean squared error below
0.005.

    python -m experiments.forget_bias
    python -m experiments.forget_bias --cell "LSTM(64)" --lengths 400 --bias 1 5
"""

import dataclasses
import functools
import itertools
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.harness import members, synthetic
from experiments.harness.cells import size_of
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from experiments.harness.training import first_below
from seqjax import plot, tasks
from seqjax._internal.types import Array, Float, Key, Params, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import gradient_flow, log_mean, memory_horizon, time_constants
from seqjax.initializers import Bias, chrono, forget_bias

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SOLVED = 0.005
EPSILON = 0.01  # the share of the gradient that still counts
SEEN = 8  # sequences on which gradients are measured
Measured = tuple[Float[Array, "M B T+1"], Float[Array, "M B T F"]]


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    cell: tuple[str, ...] = ("LSTM(32)", "GRU(32)")
    """Gated cells, each with a linear readout"""
    bias: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0)
    """Biases of the gate that keeps the state; chrono biases of the task's length are compared with them"""
    lengths: tuple[int, ...] = (50, 200)
    """Steps of the adding problem, each a task of its own"""
    reach: int = 1000
    """Steps back to which gradients are followed"""
    steps: int = 2500
    """Updates"""
    every: int = 100
    """Updates whose mean error says when a task is solved"""
    evaluation: int = 1000
    """Fresh sequences of the test"""


def main(config: Config) -> dict[str, Any]:
    """Measure, train and measure again; table and figures are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or a cell without a gate that keeps its state.
    """
    check_options(config, "lengths", "reach", "every", "evaluation", *members.POSITIVE)
    cells = [gated(text) for text in config.cell]
    for length in config.lengths:
        tasks.adding.baseline(length)  # refuses lengths that are too short
    run = Run("forget_bias", config, by=("cell", "length", "bias_init"))
    jobs = {
        f"{cell!r} length {length}": functools.partial(study, config, cell, length)
        for cell, length in itertools.product(cells, config.lengths)
    }
    rows = run.work(jobs)
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: figures(rows))
    summary = {"by": list(run.by), "measure": "mse", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def gated(text: str) -> sj.Gated:
    """The cell that a text names.

    Raises:
        ArgumentError: it has no gate that keeps its state, so no forget bias.
    """
    cell = sj.cell_from_text(text)
    if not isinstance(cell, sj.Gated) or cell.keep_gate is None:
        raise sj.ArgumentError(f"cell: {text} must have a gate that keeps its state, as LSTM(32) and GRU(32) have")
    return cell


def study(config: Config, cell: sj.Gated, length: int, folder: Path) -> Rows:
    """All biases and seeds of one task, as one program; a row for each."""
    begun, model = time.time(), sj.stack(cell, sj.Dense(1))
    problem = synthetic.Problem(tasks.adding, length, "mse", tasks.adding.baseline(length), SOLVED)
    inits: dict[str, Bias] = {f"forget_bias({b:g})": forget_bias(b) for b in config.bias}
    inits[f"chrono({length})"] = chrono(max(3, length))
    each = [(name, seed) for name in inits for seed in config.seeds]
    starts = [
        sj.stack(dataclasses.replace(cell, bias_init=inits[name]), sj.Dense(1)).init(jax.random.key(seed), 2)
        for name, seed in each
    ]
    found = members.fit_members(
        model,
        functools.partial(synthetic.error, problem.task, model),
        problem.source(config.batch_size, config.seed),
        config,
        rows=max(1, config.steps // config.every),
        starts=starts,
    )
    ends = jax.tree.map(lambda leaf: leaf[:, 0], found.state.params)
    key = jax.random.key(config.seed + 2_000_000)
    tests = errors(model, length, config.evaluation, ends, key)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts), ends
    before, after = (measure(model, config.reach, params, jax.random.fold_in(key, 1)) for params in both)
    rows = []
    for i, ((name, seed), params) in enumerate(zip(each, starts)):
        curve = [{"step": row["step"], "mse": float(row["loss"][i, 0])} for row in found.history]
        solved = first_below([{"step": r["step"], "evaluation/mse": r["mse"]} for r in curve], "mse", SOLVED)
        row: Row = {"cell": repr(cell), "length": length, "bias_init": name, "seed": seed}
        row |= {"mse": float(tests[i]), "solved": solved is not None, "solved_at_update": solved}
        row |= {"baseline_mse": problem.baseline, "valid_mse": curve[-1]["mse"]}
        row |= predicted(keep_biases(cell, params), config.reach)
        for phase, (joint, gates) in (("before", before), ("after", after)):
            row |= {f"{column}_{phase}": value for column, value in reached(joint[i], gates[i]).items()}
        rows.append(row | {"parameters": size_of(params), "updates": config.steps})
    return [row | {"seconds_of_all": round(time.time() - begun, 1)} for row in rows]


def keep_biases(cell: sj.Gated, params: Params) -> Float[np.ndarray, " F"]:
    """The biases of the gate that keeps the state, of the parameters of a stack that begins with the cell."""
    gates = np.split(np.asarray(params["0"]["project"]["bias"], np.float64), len(cell.gates))
    return gates[cell.gates.index(str(cell.keep_gate))]


def predicted(biases: Float[Array, " F"], reach: int) -> Row:
    """Half-life and horizon, in steps, of the norm of sigmoid(b)^k over units with biases b: what gates alone do.

    >>> found = predicted(np.full(4, 1.0), 1000)
    >>> round(found["predicted_half_life_steps"], 3), found["predicted_horizon_steps"]
    (2.213, 14.0)
    """
    biases = np.asarray(biases, np.float64)
    logs = np.arange(reach + 1)[:, None] * -np.logaddexp(0, -biases)  # k ln sigmoid(b)
    found = horizon(norm_over_units(logs))
    return {"mean_bias": float(biases.mean())} | {f"predicted_{name}": value for name, value in found.items()}


def reached(joint: Float[Array, "B T+1"], gates: Float[Array, "B T F"]) -> Row:
    """What the gradient in the carry does, what the product of the gates does, and the gates' time constants."""
    gates = np.asarray(gates, np.float64)
    with np.errstate(divide="ignore"):  # a gate of exactly zero
        kept = np.cumsum(np.log(gates[:, ::-1]), axis=1)
    through = horizon(log_mean(norm_over_units(kept)))
    return (
        horizon(log_mean(np.asarray(joint, np.float64))[1:])
        | {f"gates_{name}": value for name, value in through.items()}
        | {"gate_time_steps": float(np.median(time_constants(gates)))}
    )


def horizon(logs: Float[np.ndarray, " T"]) -> Row:
    """Rate of decay, half-life and horizon of a curve of log norms by distance."""
    found = memory_horizon(logs, EPSILON)
    return {
        "decay_nats_per_step": -found.slope,
        "half_life_steps": found.half_life,
        "horizon_steps": found.epsilon_horizon,
    }


def norm_over_units(logs: Float[np.ndarray, "*B F"]) -> Float[np.ndarray, " *B"]:
    """The logarithm of the norm of a vector whose elements have these logarithms."""
    found: Float[np.ndarray, " *B"] = np.logaddexp.reduce(2 * logs, axis=-1) / 2
    return found


@functools.partial(jax.jit, static_argnums=(0, 1))
def measure(model: Stack, reach: int, params: PyTree, key: Key[Array, ""]) -> Measured:
    """Of each member, whose axis comes first: log norms of the gradient by distance, and the gates that keep."""
    cell, readout = model.cells
    assert isinstance(cell, sj.Gated) and isinstance(readout, sj.Dense)
    batch = tasks.adding.sample(key, SEEN, reach)

    def one(values: PyTree) -> tuple[Array, Array]:
        def loss(y: jax.Array) -> jax.Array:
            return ((readout.apply(values["1"], y) - batch.targets[:, -1]) ** 2)[:, 0]

        flow = gradient_flow(cell, values["0"], batch.inputs, loss)
        return flow.joint, sj.trace(cell, values["0"], batch.inputs)[2][str(cell.keep_gate)]

    found: Measured = jax.lax.map(one, params)
    return found


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def errors(model: Stack, length: int, count: int, params: PyTree, key: Key[Array, ""]) -> Float[jax.Array, " M"]:
    """The mean squared error of each member on fresh sequences."""
    batch = tasks.adding.sample(key, count, length)
    return jax.lax.map(lambda p: synthetic.error(tasks.adding, model, p, batch, None).value(), params)


def figures(rows: Rows) -> dict[str, "Figure"]:
    """Horizon over bias for each cell, with the prediction; and the error of each cell and length over bias."""
    drawn: dict[str, Figure] = {}
    for cell in dict.fromkeys(row["cell"] for row in rows):
        own = [row for row in rows if row["cell"] == cell]
        top = max(row["mean_bias"] for row in own)
        longest = max(row["predicted_horizon_steps"] for row in own)
        curve = [(b, horizon_of(b), np.nan) for b in np.linspace(0, top, 17) if horizon_of(b) <= longest]
        lines = {"1 % of sigmoid(b)^k": curve} | points(own, "gates_horizon_steps_before", "gates, at the start")
        lines |= points(own, "horizon_steps_before", "whole cell, at the start")
        for length in dict.fromkeys(row["length"] for row in own):
            one = [row for row in own if row["length"] == length]
            lines |= points(one, "horizon_steps_after", f"after adding over {length}")
        name = re.sub(r"\W+", "_", str(cell).lower()).strip("_")
        title = f"{cell}: how far back 1 % of the gradient reaches"
        drawn[f"horizon_{name}"] = plot.trend(lines, "bias of the gate that keeps", "steps back", title, (0, np.inf))
    title = f"The adding problem in {rows[0]['updates']:,} updates"
    drawn["mse"] = over_bias(rows, "mse", "mse (0.167: without memory)", title)
    if solved := [row for row in rows if row["solved"]]:
        drawn["solved"] = over_bias(solved, "solved_at_update", "updates until solved, of seeds that did", title)
    return drawn


def over_bias(rows: Rows, column: str, words: str, title: str) -> "Figure":
    """A column over the bias, a line for each cell and length."""
    lines: dict[str, list[tuple[float, float, float]]] = {}
    for cell, length in dict.fromkeys((row["cell"], row["length"]) for row in rows):
        one = [row for row in rows if (row["cell"], row["length"]) == (cell, length)]
        lines |= points(one, column, f"{cell}, {length} steps")
    figure = plot.trend(lines, "bias of the gate that keeps, at the start", words, title, (0, np.inf))
    if ticks := sorted({row["mean_bias"] for row in rows if not is_chrono(row)}):
        figure.axes[0].set_xticks(ticks)
    return figure


def points(rows: Rows, column: str, name: str) -> dict[str, list[tuple[float, float, float]]]:
    """Mean and interval over seeds by bias; chrono biases, drawn at their mean, have a name of their own."""
    groups: dict[str, dict[str, Rows]] = {}
    for row in rows:
        own = f"{row['bias_init']}, {name}" if is_chrono(row) else name
        groups.setdefault(own, {}).setdefault(row["bias_init"], []).append(row)
    return {
        own: [
            (float(np.mean([row["mean_bias"] for row in same])), *interval(_known(same, column)))
            for same in inits.values()
        ]
        for own, inits in groups.items()
    }


def _known(rows: Rows, column: str) -> list[float]:
    """What is finite; NaN where nothing is."""
    return [row[column] for row in rows if row[column] is not None] or [np.nan]


def is_chrono(row: Row) -> bool:
    """Whether biases were spread, so that there is not one of them."""
    return str(row["bias_init"]).startswith("chrono")


def horizon_of(bias: float) -> float:
    """The distance k at which sigmoid(b)^k is 1 %."""
    return float(np.log(EPSILON) / -np.logaddexp(0, -bias))


if __name__ == "__main__":
    command(main, Config, __doc__)
