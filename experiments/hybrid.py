"""Which mixtures of recurrence and attention keep the strengths of both, and go on to longer sequences?

Expectation: attention looks up what stood somewhere (associative recall, Arora et al. 2023; copying, Jelassi et al.
2024) and fails to follow a state (parity, Deletang et al. 2023; Merrill et al. 2024); a small recurrent network does
the reverse, as its state holds what fits into it. A mixture should do both (Griffin, De et al. 2024). Which order
matters for copying: a recurrent layer before attention also tells positions, which attention alone needs an encoding
for.

Each mixture has two layers of one width, causal, with positions only where its name says so. Trained on short
sequences and tested on longer ones; recall has the same pairs, and more between them. Seeds are one program.

    python -m experiments.hybrid
    python -m experiments.hybrid --tasks parity --steps 500
"""

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import seqjax as sj
from experiments.harness import lengths
from experiments.harness.command import command
from experiments.harness.figures import print_figures
from experiments.harness.run import Rows, Run
from experiments.harness.spread import spread
from experiments.harness.tables import table
from seqjax import plot, tasks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ASKED = {"recall": tasks.AssociativeRecall(32, 4), "copy": tasks.duplicate, "parity": tasks.parity}
"""What is asked: four pairs looked up among 32 tokens, a string written twice, the parity of its bits."""

BLOCK = "as_cell(TransformerBlock, 32, 4, positions={}, capacity=1024)"
ATTENTION, ROTARY = BLOCK.format(None), BLOCK.format("'rotary'")
MIXTURES = {
    "GRU, GRU": "repeat(GRU(32), 2)",
    "attention, attention": f"repeat({ROTARY}, 2)",
    "GRU, attention": f"stack(GRU(32), {ATTENTION})",
    "attention, GRU": f"stack({ROTARY}, GRU(32))",
}
"""By name: the layers from the first to the last. Attention after a GRU has no positions of its own."""


@dataclass(frozen=True)
class Config(lengths.Budget):
    """Options of the experiment."""

    tasks: tuple[str, ...] = tuple(ASKED)
    """recall, copy, parity"""
    cell: tuple[str, ...] = tuple(MIXTURES)
    """Mixtures by name, or cells as the calls that make them"""
    longest: int = 20
    """Training strings have 1 ... so many symbols; those of recall so many steps beyond the least, 16"""
    test_longest: int = 100
    """The longest string of the test"""
    tests: int = 5
    """Lengths of the test"""
    steps: int = 3000
    """Updates"""


def main(config: Config) -> dict[str, Any]:
    """Train each mixture on each task; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, no such task, or a cell that cannot be trained.
    """
    for name in config.tasks:
        if name not in ASKED:
            raise sj.ArgumentError(f"tasks must be of {', '.join(ASKED)}, found {name!r}")
    cells = {name: MIXTURES.get(name, name) for name in config.cell}
    lengths.check(config, tuple(cells.values()))
    run = Run("hybrid", config, by=("task", "cell"))
    jobs = {
        f"{task} {name}": functools.partial(lengths.study, task, ASKED[task], cells[name], config, label=name)
        for task, name in itertools.product(config.tasks, cells)
    }
    rows = run.work(jobs)
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {"accuracy": figure(rows)})
    summary = {"by": list(run.by), "measure": "accuracy", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def figure(rows: Rows) -> "Figure":
    """A map of tasks, at trained lengths and beyond, and mixtures: the mean over seeds, and the best of them."""
    names = list(dict.fromkeys(row["task"] for row in rows))
    labels = [f"{name}, {where}" for name in names for where in ("as trained", "longer")]
    columns = {
        cell: [lengths.mean_and_best(rows, name, cell, m) for name in names for m in ("valid_accuracy", "accuracy")]
        for cell in dict.fromkeys(str(row["cell"]) for row in rows)
    }
    return plot.heat_map(labels, columns, "Accuracy in %: mean over seeds, (best)")


if __name__ == "__main__":
    command(main, Config, __doc__)
