r"""How far back does the gradient of the last step's loss reach, as sequences get longer?

Expectation (Bengio et al. 1994; Pascanu et al. 2013): through a tanh RNN the norm of dL_T/dh_t shrinks by a
constant factor a step; gates (Hochreiter and Schmidhuber 1997; Cho et al. 2014) slow that down, and training slows it
further. With a recurrent scale above 1 it can grow instead, and plain SGD needs clipping to survive.

Attention is not a chain of steps: what its last step looks at it reaches at once, however far back. So that cells with
and without it can be compared, norms are measured in the inputs too, and not in the carry alone, which for attention
is its cache.

Cells are compared at equal width, then with widths changed so that each has as many parameters as the largest.

    python -m experiments.gradient_norms --cell "LSTM(64)" "stack(RNN(32), GRU(32))" --lengths 10 100 1000
    python -m experiments.gradient_norms --cell "RNN(32)" "LSTM(32)" "GRU(32)" \
        "as_cell(TransformerBlock, 32, 4, capacity=100)" \
        "stack(GRU(32), as_cell(TransformerBlock, 32, 4, capacity=100))" --lengths 10 100
"""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optax

import seqjax as sj
from experiments.gradients import report, sources
from experiments.gradients.flows import LOG10, Training, Windows, fit, flow, fresh_params, last_target, model_of, powers
from experiments.gradients.layers import (
    check_layered,
    layer_figures,
    layer_reading,
    layer_rows,
    layer_table,
    study_layers,
)
from experiments.harness.cells import count_parameters, match_parameters
from experiments.harness.command import command
from experiments.harness.figures import print_figures
from experiments.harness.run import Job, Row, Rows, Run
from experiments.harness.tables import table
from seqjax._internal.types import Array, Bool, Int, Num, PyTree
from seqjax._internal.validation import key_number
from seqjax.combinators import Stack
from seqjax.diagnostics import GradientFlow, half_life, log_mean
from seqjax.initializers import orthogonal

EXPLODING_RATE, EXPLODING_LENGTH = 0.5, 200
WIDTH = 32  # features that a cell reads, where its parameters are counted


@dataclass(frozen=True)
class Config:
    """Options of the experiment; cells are written as the calls that make them."""

    cell: tuple[str, ...] = ("RNN(64)", "LSTM(64)", "GRU(64)")
    """Cells to compare. One of your own: my_cells.py:MGU(64)"""
    lengths: tuple[int, ...] = ()
    """Sequence lengths T. None given: eight from 10 to 1,000 for text, six up to 64 for digits"""
    data: str = "shakespeare"
    """shakespeare, digits, or the path of a text file"""
    equal_parameters: bool = True
    """Compare also at equal parameter count"""
    batch_size: int = 32
    """Sequences in a batch"""
    train_steps: int = 150
    """Adam steps between the two measurements"""
    train_length: int = 50
    """Steps of a training sequence"""
    learning_rate: float = 3e-3
    """Of Adam"""
    exploding_scale: float = 2.0
    """Recurrent scale of the exploding RNN; 0 leaves that part out"""
    layered: str = "stack(RNN(32), LSTM(32), GRU(32))"
    """A model to look into layer by layer, of any cells; "" leaves that part out"""
    seed: int = 0
    """Of parameters and batches"""


def main(config: Config) -> dict[str, Any]:
    """Measure, print a table with its reading, draw the figures; the summary is also in the run folder."""
    cells = [sj.cell_from_text(text) for text in config.cell]
    source = sources.load(config.data)
    config = dataclasses.replace(config, lengths=check(config, cells, source))
    run = Run("gradient_norms", config)
    run.work(jobs(config, cells, source), at_once=2)  # as compiling leaves a core idle
    rows = [{"group": group} | row for group, cell in plan(config, cells) for row in run.units[repr(cell)]]
    rows += run.units.get("exploding", [])
    layers = run.units.get("layers", [])
    summary = {
        "flow": report.flow_rows(rows),
        "exploding": report.exploding_rows(rows),
        "layers": layer_rows(layers),
    }
    print(*words(summary), sep="\n\n")
    print_figures(run, lambda: report.figures(rows, source.name) | layer_figures(layers, source.name))
    run.finish(summary)
    return summary


def jobs(config: Config, cells: list[sj.Cell], source: sources.Source) -> dict[str, Job]:
    """The units of the run: what measures each cell, the exploding RNN, and the layers of the layered model."""
    found: dict[str, Job] = {}
    if config.layered:
        found["layers"] = functools.partial(study_layers, sj.cell_from_text(config.layered), source, training(config))
    found |= {repr(cell): functools.partial(study, cell, source, config) for _, cell in plan(config, cells)}
    if config.exploding_scale and config.train_steps:
        found["exploding"] = functools.partial(explode, source, config)
    return found


def words(summary: dict[str, Rows]) -> list[str]:
    """All tables, each with its reading."""
    said = [table(report.flow_table(summary["flow"])), report.in_words(summary["flow"])]
    if summary["exploding"]:
        said.append(table(report.exploding_table(summary["exploding"])))
    if summary["layers"]:
        said += [table(layer_table(summary["layers"])), layer_reading(summary["layers"])]
    return said


def check(config: Config, cells: list[sj.Cell], source: sources.Source) -> tuple[int, ...]:
    """The lengths to measure at; everything that can be wrong is refused here, before any work.

    Raises:
        ArgumentError: a cell without a step, or an option out of range.
    """
    for cell in cells:
        if not cell.causal:
            raise sj.ArgumentError(f"cell: {cell!r} reads both directions, so no gradient flows back step by step")
        if cell.feature_axes != 1 or "key" in cell.asks:
            raise sj.ArgumentError(f"cell: {cell!r} must take vectors and draw no random numbers")
    if config.layered:
        check_layered(config.layered, source)
    if not cells:
        raise sj.ArgumentError("cell: give at least one, such as LSTM(64)")
    for name in ("batch_size", "train_length", "learning_rate"):
        if getattr(config, name) <= 0:
            raise sj.ArgumentError(f"{name} must be above 0, found {getattr(config, name)}")
    key_number("seed", config.seed)
    for name in ("train_steps", "exploding_scale"):
        if getattr(config, name) < 0:
            raise sj.ArgumentError(f"{name} must not be below 0, found {getattr(config, name)}")
    if config.train_length > source.longest:
        raise sj.ArgumentError(
            f"train_length must be at most {source.longest} for {source.name}, found {config.train_length}"
        )
    last = min(1000, source.longest)
    count = 8 if last == 1000 else 6
    lengths = config.lengths or tuple(int(t) for t in np.geomspace(10 if count == 8 else 4, last, count).round())
    for length in lengths:
        if not 1 <= length <= source.longest:
            raise sj.ArgumentError(f"lengths must be from 1 to {source.longest} for {source.name}, found {length}")
    return tuple(sorted(set(lengths)))


def plan(config: Config, cells: list[sj.Cell]) -> list[tuple[str, sj.Cell]]:
    """(group, cell) pairs: as given, then resized to the parameter count of the largest."""
    pairs = [("as given", cell) for cell in cells]
    if config.equal_parameters and len(cells) > 1 and all(isinstance(c, sj.Gated) for c in cells):
        most = max(count_parameters(cell, WIDTH) for cell in cells)
        pairs += [("equal parameters", match_parameters(cell, most, WIDTH)) for cell in cells]
    return pairs


def study(cell: sj.Cell, source: sources.Source, config: Config, folder: Path) -> Rows:
    """Rows of one cell: every length, before and after a short training."""
    model = model_of(cell, source)
    params = fresh_params(model, source, config.seed)
    rows = []
    for phase in ("before", "after"):
        if phase == "after":
            params = fit(model, params, Windows(source, training(config)), optax.adam(config.learning_rate)).params
        head = {"cell": repr(cell), "parameters": count_parameters(cell, WIDTH), "phase": phase}
        rows += [head | row for row in measure(model, source, params, config)]
    return rows


def measure(model: Stack, source: sources.Source, params: PyTree, config: Config) -> Iterator[Row]:
    """A row for each length, all by one compiled program."""
    for length in config.lengths:
        result = flow(model, params, *pad_left(source, length, config))
        yield {"length": length} | statistics(result, length)


def pad_left(
    source: sources.Source, length: int, config: Config
) -> tuple[Num[Array, "B T *D"], Int[Array, " B"], Bool[Array, "B T"]]:
    """Windows of `length` steps at the right end of the longest: one shape, so one compilation for all."""
    rng = np.random.default_rng((config.seed, length))
    xs, targets = source.windows(rng, config.batch_size, length)
    longest = max(config.lengths)
    pad = [(0, 0), (longest - length, 0)] + [(0, 0)] * (xs.ndim - 2)
    mask = np.broadcast_to(np.arange(longest) >= longest - length, (config.batch_size, longest))
    return np.pad(xs, pad), last_target(targets), mask


def statistics(result: GradientFlow, length: int) -> Row:
    """Log10 of the norms by distance 0 ... T: mean, median and 10-90 % over the examples; half-life in steps.

    Those of the inputs are by distance 0 ... T - 1: what a vector of the sequence has to do with the loss, also where
    it is reached by attention and not through states. None is a norm of exactly zero, or a half-life that there is
    not, as the norm neither falls nor grows.
    """
    joint = np.asarray(result.joint, np.float64)[:, : length + 1]
    with np.errstate(invalid="ignore"):  # between two norms of zero, whose logarithms are infinite
        low, middle, high = np.quantile(joint, (0.1, 0.5, 0.9), axis=0)
    mean = log_mean(joint)
    assert result.inputs is not None
    inputs = log_mean(np.asarray(result.inputs, np.float64)[:, -length:])[::-1]
    parts = {name: powers(log_mean(part[:, :length])) for name, part in result.parts.items()}
    return {
        "loss_nats": float(np.mean(result.loss)),
        "log10_parameter_norm": float(result.parameters) / LOG10,
        "half_life_steps": half_life(mean),
        **report.norms_at(powers(mean)),
        "input_half_life_steps": half_life(inputs),
        **{f"input_{name}": value for name, value in report.norms_at(powers(inputs)).items()},
        "log10_norms": powers(mean),
        "log10_norms_median": powers(middle),
        "log10_norms_p10": powers(low),
        "log10_norms_p90": powers(high),
        "log10_input_norms": powers(inputs),
        "log10_norms_of_parts": parts if len(parts) > 1 else {},
    }


def training(config: Config) -> Training:
    """The short training between the two measurements."""
    return Training(config.train_steps, config.train_length, config.batch_size, config.learning_rate, config.seed)


def explode(source: sources.Source, config: Config, folder: Path) -> Rows:
    """A tanh RNN with a recurrent scale above 1: its gradient flow, and plain SGD with and without clipping."""
    cell = sj.RNN(64, recurrent_init=orthogonal(config.exploding_scale))
    model = model_of(cell, source)
    params = fresh_params(model, source, config.seed)
    head = {"group": "exploding", "cell": repr(cell), "parameters": count_parameters(cell, WIDTH), "phase": "before"}
    rows = [head | row for row in measure(model, source, params, config)]
    length = min(EXPLODING_LENGTH, source.longest)
    long = Windows(source, training(config)._replace(length=length))
    for clip in (None, 1.0):
        log = fit(model, params, long, optax.sgd(EXPLODING_RATE), clip).history
        row: Row = {"group": "exploding training", "cell": repr(cell), "clip": clip, "train_length": length}
        losses, norms = ([row[name] for row in log] for name in ("loss", "norm"))
        row |= {"first_loss_nats": losses[0], "last_loss_nats": float(np.mean(losses[-10:]))}
        ordered = np.sort(np.nan_to_num(norms, nan=np.inf, posinf=np.inf))
        row |= {"largest_norm": float(ordered[-1]), "median_norm": float(ordered[len(ordered) // 2])}
        rows.append(row | {"loss_by_step": losses, "log10_norm_by_step": powers(np.log(norms))})
    return rows


if __name__ == "__main__":
    command(main, Config, __doc__)
