"""Does the reach of the gradient at the start of training predict which networks learn to remember?

Measured at the start, on sequences of the task itself: how far the gradient of the last step's loss falls, or grows, on
its way back to the first step, through the carry and in the inputs. Then each network is trained with Adam on the
adding problem and on temporal order. Spearman's rank correlation says whether those with the longer reach also have
the smaller error in the end, over all networks, and within those with gates and those without, as a correlation over
all may say no more than that gates help.

Expectation: a network that hears nothing from far away cannot begin to learn it (Bengio et al. 1994; Hochreiter and
Schmidhuber 1997), so the correlation is well above zero. It need not be high: a gradient may also be too large
(Pascanu et al. 2013), gates learn to open within some updates, as the gradient of nearer steps asks for it, and what
passes gradients may have no use for them: a linear network keeps all and cannot multiply a number by its mark; Henaff
et al. (2016) find that an identity start solves adding and fails at copying, and an orthogonal one the reverse.

Every update takes fresh sequences, so that the mean error of fifty updates is that on sequences not seen before;
solved is the first such mean below 0.005 for adding, below 1 % wrong for temporal order.

    python -m experiments.gradient_vs_success
    python -m experiments.gradient_vs_success --tasks adding --cell "GRU(32)" "my_cells.py:MGU(32)" --members 5
"""

import functools
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import seqjax as sj
from experiments import adding, temporal_order
from experiments.gradients.flows import LOG10
from experiments.harness import members, synthetic
from experiments.harness.cells import cells_of, count_parameters
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.ranks import association
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import spread
from experiments.harness.tables import number, table
from experiments.harness.training import init_params
from experiments.vanishing import LEVEL
from seqjax import Batch, losses, plot, tasks, train
from seqjax._internal.types import Array, Key, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import GradientFlow, gradient_flow, log_mean, memory_horizon

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 50  # updates whose mean error is one evaluation
MEASURED = 32  # sequences over which norms are averaged
PREDICTORS = {
    "log10_ratio": "carry, first step over last",
    "negative_distance_from_level": "the same, less being better both ways",
    "log10_slope": "slope in the carry",
    "epsilon_horizon_steps": "last step above 1 %",
    "log10_input_ratio": "input, first step over last",
}
"""What is known at the start; a large value is a long reach."""


@dataclass(frozen=True)
class Config(members.Members):
    """Options of the experiment."""

    tasks: tuple[str, ...] = ("adding", "temporal_order")
    """adding, temporal_order"""
    cell: tuple[str, ...] = (
        "RNN(32)", "RNN(32, recurrent_init=glorot())", "RNN(32, recurrent_init=orthogonal(scale=0.8))",
        "RNN(32, recurrent_init=orthogonal(scale=1.2))", "RNN(32, recurrent_init=orthogonal(scale=2.0))",
        "RNN(32, activation='identity')", "RNN(32, activation='relu')",
        "RNN(32, activation='relu', recurrent_init=identity())", "GRU(32)", "GRU(32, bias_init=chrono(100))",
        "LSTM(32, bias_init=forget_bias(0.0))", "LSTM(32)", "LSTM(32, bias_init=forget_bias(3.0))",
        "LSTM(32, bias_init=forget_bias(5.0))", "LSTM(32, bias_init=chrono(100))",
    )  # fmt: skip
    """Networks to compare, each with a linear readout"""
    adding_length: int = 100
    """Steps of a sequence of the adding problem"""
    order_length: int = 100
    """Steps of a sequence of temporal order"""
    steps: int = 3000
    """Updates"""
    evaluation: int = 2000
    """Fresh sequences of the test at the end"""


def main(config: Config) -> dict[str, Any]:
    """Measure and train each network on each task; tables and figures are also in the run folder.

    Raises:
        ArgumentError: an option out of range, no such task, or a cell that cannot read the sequences.
    """
    check_options(config, "adding_length", "order_length", "evaluation", *members.POSITIVE)
    problems = [problem_of(name, config) for name in config.tasks]
    cells = cells_of(config.cell)
    run = Run("gradient_vs_success", config, by=("task", "cell"))
    jobs = {
        f"{problem.task.name} {cell!r}": functools.partial(study, config, problem, cell)
        for problem, cell in itertools.product(problems, cells)
    }
    rows = run.work(jobs)
    found = correlations(rows, config.steps)
    print(table(spread(rows, run.by)), table(correlation_table(found)), sep="\n\n")
    print_figures(run, lambda: figures(rows, config.steps))
    summary = {"by": list(run.by), "measure": "relative_error", "trend": None, "rows": rows, "correlations": found}
    run.finish(summary)
    return summary


def problem_of(name: str, config: Config) -> synthetic.Problem:
    """Task, length, and when it is solved.

    Raises:
        ArgumentError: no such task, or sequences that are too short.
    """
    if name == "adding":
        baseline = tasks.adding.baseline(config.adding_length)
        return synthetic.Problem(tasks.adding, config.adding_length, "error", baseline, adding.SOLVED)
    if name == "temporal_order":
        return temporal_order.problem_of(config.order_length)
    raise sj.ArgumentError(f"tasks must be of adding, temporal_order, found {name!r}")


def study(config: Config, problem: synthetic.Problem, cell: sj.Cell, folder: Path) -> Rows:
    """A row for each member: its reach at the start, and what it learned."""
    model, begun = sj.stack(cell, sj.Dense(problem.task.out_features)), time.time()
    loss = functools.partial(error, problem.task, model)
    reaches = [reach(problem, model, init_params(model, problem.in_features, seed)) for seed in config.seeds]
    source = problem.source(config.batch_size, config.seed)
    windows = max(1, config.steps // WINDOW)
    found = members.fit_members(model, loss, source, config, windows, problem.in_features)
    test = problem.source(min(config.evaluation, synthetic.AT_ONCE), config.seed + 2_000_000)
    repeats = -(-config.evaluation // synthetic.AT_ONCE)
    head = {"task": problem.task.name, "cell": repr(cell), "length": problem.length}
    rows: Rows = []
    for i, seed in enumerate(config.seeds):
        last = train.evaluate(loss, members.params_of(found, i), test, steps=repeats)["error"]
        curve = [(row["step"], float(row["error"][i, 0])) for row in found.history]
        rows.append(head | {"seed": seed, "is_gated": not isinstance(cell, sj.RNN)})
        rows[-1] |= success(problem, last, curve) | reaches[i]
        rows[-1] |= {"skipped_updates": int(found.state.skipped.in_all[i, 0])}
    common = {"parameters": count_parameters(model, problem.in_features), "updates": config.steps}
    return [row | common | {"seconds": round(time.time() - begun, 1)} for row in rows]


def error(
    task: tasks.Task, model: sj.Cell, params: PyTree, batch: Batch, key: Key[Array, ""] | None
) -> tuple[train.Mean, dict[str, train.Mean]]:
    """The loss at the steps that count, and the squared error or the share of wrong answers there."""
    _, outputs = sj.scan(model, params, batch.inputs)
    if task.score_name == "mse":
        loss = train.Mean.of(losses.squared_error(outputs, batch.targets), batch.weights)
        return loss, {"error": loss}
    wrong = train.Mean.of(1 - losses.accuracy(outputs, batch.targets), batch.weights)
    return train.Mean.of(losses.cross_entropy(outputs, batch.targets), batch.weights), {"error": wrong}


def success(problem: synthetic.Problem, last: float, curve: list[tuple[int, float]]) -> Row:
    """What was learned: errors relative to the one without memory, and when it was solved."""
    known = [value for _, value in curve if np.isfinite(value)]
    at = next((step for step, value in curve if value < problem.solved), None)
    return {
        "relative_error": last / problem.baseline,
        "valid_relative_error": min(known, default=np.nan) / problem.baseline,
        "solved": at is not None,
        "solved_at_update": at,
        "error": last,
        "baseline_error": problem.baseline,
        "errors": [round(value, 5) for _, value in curve],
    }


def reach(problem: synthetic.Problem, model: Stack, params: PyTree) -> Row:
    """How far the gradient of the last step's loss comes, on fresh sequences of the task.

    log10_ratio is that of the norm in the carry before the first step to that after the last but one;
    log10_input_ratio that in the first input to that in the last.
    """
    batch = problem.source(MEASURED, 1_000_000).batch(0)
    flow = _flow(problem.task, model, params, batch)
    carry, inputs = (log_mean(np.asarray(logs, np.float64)) for logs in (flow.joint[:, 1:], flow.inputs))
    horizon = memory_horizon(carry)
    ratio = float(carry[-1] - carry[0]) / LOG10
    return {
        "log10_ratio": ratio,
        "log10_input_ratio": float(inputs[0] - inputs[-1]) / LOG10,
        "log10_slope": horizon.slope / LOG10,
        "half_life_steps": horizon.half_life if abs(horizon.slope) * problem.length > LEVEL else None,
        "epsilon_horizon_steps": horizon.epsilon_horizon,
        "negative_distance_from_level": -abs(ratio),
    }


@functools.partial(jax.jit, static_argnums=(0, 1))
def _flow(task: tasks.Task, model: Stack, params: PyTree, batch: Batch) -> GradientFlow:
    cell, readout = model.cells
    assert isinstance(readout, sj.Dense)
    each = losses.squared_error if task.score_name == "mse" else losses.cross_entropy

    def loss(y: jax.Array) -> jax.Array:
        return each(readout.apply(params["1"], y), batch.targets[:, -1])

    return gradient_flow(cell, params["0"], batch.inputs, loss)


def correlations(rows: Rows, steps: int) -> Rows:
    """Spearman's correlation of each predictor with success, over means of networks, for each task and group.

    Success is a small error at the end, or few updates until the task is solved, where those that never solve it are
    last together. A network counts once, as its seeds are no independent witnesses of what its start is worth.
    """
    found: Rows = []
    groups = {"all": (True, False), "gates": (True,), "no gates": (False,)}
    for task, (group, gated), name in itertools.product(
        dict.fromkeys(r["task"] for r in rows), groups.items(), PREDICTORS
    ):
        chosen = [row for row in rows if row["task"] == task and row["is_gated"] in gated]
        cells: dict[str, Rows] = {}
        for row in chosen:
            cells.setdefault(row["cell"], []).append(row)
        if len(cells) < 3:
            continue
        xs = [_mean([_or(row[name], -np.inf) for row in each]) for each in cells.values()]
        line: Row = {"task": task, "group": group, "cells": len(cells), "predictor": name}
        for word, column, none in (("error", "relative_error", np.inf), ("updates", "solved_at_update", 2 * steps)):
            ys = [-_mean([_or(row[column], none) for row in each]) for each in cells.values()]
            line |= {f"{key}_{word}": value for key, value in association(xs, ys)._asdict().items()}
        found.append(line)
    return found


def _or(value: float | None, none: float) -> float:
    return none if value is None else value


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def correlation_table(found: Rows) -> list[list[str]]:
    """The correlations as words."""
    head = ["task", "networks", "of", "at the start", "rank correlation with a small error", "with few updates"]
    lines = [head]
    for row in found:
        words = []
        for word in ("error", "updates"):
            rho, low, high, p = (row[f"{key}_{word}"] for key in ("rho", "low", "high", "p"))
            words.append("-" if rho is None else f"{rho:+.2f} ({low:+.2f} to {high:+.2f}, p {number(p)})")
        lines.append([row["task"], row["group"], str(row["cells"]), PREDICTORS[row["predictor"]], *words])
    return lines


def figures(rows: Rows, steps: int) -> dict[str, "Figure"]:
    """Success over the reach at the start: a point for each network and seed."""
    drawn: dict[str, Figure] = {}
    x = "at the start, log₁₀ of the gradient at the first step\nrelative to that at the last (0: it keeps all)"
    labels = {
        "relative_error": "error after training,\nrelative to that without memory",
        "solved_at_update": f"updates until solved\n(at {steps:,}, the end: not solved)",
    }
    for column, y in labels.items():
        panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for row in rows:
            value = _or(row[column], steps if column == "solved_at_update" else np.nan)
            panel = panels.setdefault(f"{row['task']}, {row['length']} steps".replace("_", " "), {})
            panel.setdefault(row["cell"], []).append((_or(row["log10_ratio"], np.nan), value))
        drawn[column] = plot.scatter(panels, x, y, is_stretched=True)
    return drawn


if __name__ == "__main__":
    command(main, Config, __doc__)
