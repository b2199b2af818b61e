"""Which initial weights, activations, gates, norms and depths keep the gradient within a decade over 1,000 steps?

Measured at the start of training, as a network that feels nothing from far away cannot begin to learn it: the mean norm
of dL/d carry by distance k from the loss of the last character, on Shakespeare, relative to k = 1.

Expectation: tanh loses a constant factor a step whatever the weights (Bengio et al. 1994; Pascanu et al. 2013), the
less the nearer they are to orthogonal; a linear orthogonal network loses nothing (Saxe et al. 2014), and neither does a
ReLU network that begins at the identity (Le et al. 2015), until it explodes. A gate keeps sigmoid(b) a step, so that a
forget bias of 5 holds for some 150 steps, and chrono biases (Tallec and Ollivier 2018) for the range they are made for.
Norms and residual paths around layers are not on the way through time, and should change little.

    python -m experiments.vanishing --seeds 0 1 2
    python -m experiments.vanishing --cell "my_cells.py:MGU(64)" "LSTM(64)" --length 200
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import seqjax as sj
from experiments.gradients import sources
from experiments.gradients.flows import flow, fresh_params, last_target, model_of, powers
from experiments.harness.cells import count_parameters
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import spread
from experiments.harness.tables import table
from seqjax import plot
from seqjax._internal.types import Array, Float
from seqjax.diagnostics import log_mean, memory_horizon

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = {
    "RNN": (
        "RNN(64)", "RNN(64, recurrent_init=glorot())", "RNN(64, recurrent_init=orthogonal(scale=1.2))",
        "RNN(64, recurrent_init=orthogonal(scale=2.0))", "RNN(64, activation='identity')",
        "RNN(64, activation='relu', recurrent_init=identity())", "RNN(64, activation='relu')",
    ),
    "gates": (
        "GRU(64)", "GRU(64, bias_init=chrono(1000))", "LSTM(64, bias_init=forget_bias(0.0))", "LSTM(64)",
        "LSTM(64, bias_init=forget_bias(5.0))", "LSTM(64, bias_init=chrono(1000))",
    ),
    "depth, norms": (
        "stack(Norm(), RNN(64))", "stack(RNN(64), RNN(64), RNN(64), RNN(64))",
        "stack(RNN(64), residual(RNN(64)), residual(RNN(64)), residual(RNN(64)))",
        "stack(Norm(), LSTM(64))", "stack(LSTM(64), LSTM(64), LSTM(64), LSTM(64))",
        "stack(LSTM(64), residual(LSTM(64)), residual(LSTM(64)), residual(LSTM(64)))",
    ),
}  # fmt: skip
CELLS = tuple(text for texts in GROUPS.values() for text in texts)
DISTANCES = (10, 100, 1000)
LEVEL = 0.01  # a log norm that changes less over all steps than that has no half-life


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    cell: tuple[str, ...] = CELLS
    """Networks between characters and a linear readout"""
    length: int = 1000
    """Steps of a sequence"""
    batch_size: int = 16
    """Sequences over which norms are averaged"""
    data: str = "shakespeare"
    """shakespeare, digits, or the path of a text file"""
    seed: int = 0
    """Of parameters and sequences"""


def main(config: Config) -> dict[str, Any]:
    """Measure each network; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, or a network that has no step.
    """
    check_options(config, "length", "batch_size")
    cells = [sj.cell_from_text(text) for text in config.cell]
    for cell in cells:
        if not cell.causal or cell.feature_axes != 1 or cell.asks & {"key", "memory", "source"}:
            raise sj.ArgumentError(f"cell: {cell!r} must take vectors step by step, and ask for nothing besides")
    source = sources.load(config.data)
    if config.length > source.longest:
        raise sj.ArgumentError(f"length must be at most {source.longest} for {source.name}, found {config.length}")
    run = Run("vanishing", config, by=("cell",))
    rows = run.work({repr(cell): functools.partial(study, config, cell, source) for cell in cells})
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {"norms": figure(rows)})
    summary = {"by": list(run.by), "measure": "steps_within_decade", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def study(config: Config, cell: sj.Cell, source: sources.Source, folder: Path) -> Rows:
    """One row: fresh parameters, one batch."""
    model = model_of(cell, source)
    xs, targets = source.windows(np.random.default_rng((config.seed, 1)), config.batch_size, config.length)
    found = flow(model, fresh_params(model, source, config.seed), xs, last_target(targets))
    logs = log_mean(np.asarray(found.joint, np.float64))
    row: Row = {"cell": repr(cell), "seed": config.seed, "steps_within_decade": steps_within_decade(logs)}
    row |= {f"log10_ratio_{k}": powers(logs[[k]] - logs[1])[0] for k in DISTANCES if k <= config.length}
    horizon = memory_horizon(logs[1:])
    changes = abs(horizon.slope) * config.length > LEVEL
    row |= {"half_life_steps": horizon.half_life if changes else None}
    return [row | {"parameters": count_parameters(cell, 64), "log10_norms": powers(logs)}]


def steps_within_decade(logs: Float[Array, " T+1"]) -> int:
    """The largest k up to which all norms are within a factor of 10 of that at k = 1."""
    inside = np.abs(np.asarray(logs[1:]) - logs[1]) <= np.log(10)
    return len(inside) if inside.all() else int(np.argmin(inside))


def figure(rows: Rows) -> "Figure":
    """Mean norms over seeds by distance, a panel for each group of networks."""
    panels: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for text in dict.fromkeys(str(row["cell"]) for row in rows):
        group = next((name for name, texts in GROUPS.items() if text in map(_spelled, texts)), "others")
        curves = [np.array(row["log10_norms"], float) for row in rows if row["cell"] == text]
        panels.setdefault(group, {})[text] = {"mean": np.mean(curves, axis=0)}
    return plot.norm_by_distance(panels, "At the start of training", of="carry")


def _spelled(text: str) -> str:
    """As the cell prints itself."""
    return repr(sj.cell_from_text(text))


if __name__ == "__main__":
    command(main, Config, __doc__)
