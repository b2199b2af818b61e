"""Which networks go on to longer strings than they were trained on, by the grammar that a task needs?

Expectation (Deletang et al. 2023, table 2): recurrent networks solve the regular tasks at any length, as a finite state
is enough; attention does not, whatever its position encoding, as its answers depend on positions that were not
trained; neither solves what needs a stack or a tape, but for counting, which an LSTM can do (bucket sort).

Protocol of the paper: strings of 1 ... 40 symbols in training, 41 ... 500 in the test, the answer read all at once from
empty tokens after the string; the score is the mean accuracy over the lengths of the test, and solved is 90 %. The
paper trains for a million updates with three learning rates and ten seeds, and of the attention with five position
encodings, and reports the best; its networks are wider (256 units; five layers of 64 features). Here all are small, one
learning rate is used, and every number is given with its spread.

    python -m experiments.chomsky
    python -m experiments.chomsky --tasks parity reverse --cell "RNN(64)" "GRU(32)"
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

REGULAR, STACK, TAPE = "regular", "context-free", "context-sensitive"

PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    "even_pairs": (REGULAR, {"RNN": 100.0, "attention": 96.4, "LSTM": 100.0}),
    "modular_arithmetic_simple": (REGULAR, {"RNN": 100.0, "LSTM": 100.0}),
    "parity": (REGULAR, {"RNN": 100.0, "attention": 52.0, "LSTM": 100.0}),
    "cycle_navigation": (REGULAR, {"RNN": 100.0, "attention": 61.9, "LSTM": 100.0}),
    "stack_manipulation": (STACK, {"RNN": 56.0, "attention": 57.5, "LSTM": 59.1}),
    "reverse": (STACK, {"RNN": 62.0, "attention": 62.3, "LSTM": 60.9}),
    "modular_arithmetic": (STACK, {"RNN": 41.3, "attention": 32.5, "LSTM": 59.2}),
    "duplicate": (TAPE, {"RNN": 50.3, "attention": 52.8, "LSTM": 57.6}),
    "missing_duplicate": (TAPE, {"RNN": 52.3, "attention": 56.4, "LSTM": 54.3}),
    "odds_first": (TAPE, {"RNN": 51.0, "attention": 52.8, "LSTM": 55.6}),
    "binary_addition": (TAPE, {"RNN": 50.3, "attention": 54.3, "LSTM": 55.5}),
    "bucket_sort": (TAPE, {}),
}
"""Level, and table 2 of the paper: the best of all settings and seeds, in percent; "attention" is its Transformer.

What could not be looked up again is left out."""

POSITIONS = (None, "sinusoidal", "rotary", "alibi", "relative")
RECURRENT = ("RNN(64)", "GRU(32)", "LSTM(32)")


def encoder(positions: str | None) -> str:
    """Attention in both directions, two layers, as the call that makes it."""
    return f"as_cell(TransformerEncoder, None, 32, 4, 2, positions={positions!r}, capacity=2048)"


@dataclass(frozen=True)
class Config(lengths.Budget):
    """Options of the experiment; RNN, GRU and LSTM have about 4,000 parameters each in their recurrence."""

    tasks: tuple[str, ...] = (
        "parity", "even_pairs", "cycle_navigation", "modular_arithmetic_simple", "reverse", "stack_manipulation",
        "missing_duplicate", "bucket_sort",
    )  # fmt: skip
    """Of seqjax.tasks"""
    cell: tuple[str, ...] = (*RECURRENT, *map(encoder, POSITIONS))
    """Networks between an embedding and a linear readout"""


def main(config: Config) -> dict[str, Any]:
    """Train each network on each task; table and figure are also in the run folder.

    Raises:
        ArgumentError: an option out of range, no such task or none of the paper, or a cell that cannot be trained.
    """
    for name in config.tasks:
        tasks.find(name)
        if name not in PUBLISHED:
            raise sj.ArgumentError(f"tasks: {name} is not of the paper; choose of {', '.join(PUBLISHED)}")
    lengths.check(config, config.cell)
    run = Run("chomsky", config, by=("task", "cell"))
    jobs = {
        f"{name} {text}": functools.partial(lengths.study, name, tasks.find(name), text, config)
        for text, name in itertools.product(config.cell, config.tasks)
    }
    rows = run.work(jobs)
    print(table(spread(rows, run.by)))
    print_figures(run, lambda: {"accuracy": figure(rows)})
    summary = {"by": list(run.by), "measure": "accuracy", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def published(name: str, kind: str) -> tuple[float, ...]:
    """The number of the paper, or nothing."""
    found = PUBLISHED[name][1]
    return (found[kind],) if kind in found else ()


def figure(rows: Rows) -> "Figure":
    """A map of tasks and networks: the mean score over seeds, and the best of them, beside the published best.

    rows: as `main` returns them, or of results/chomsky.csv, of which the trainings with most updates are drawn.
    """
    most: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row["task"], row["cell"]
        most[key] = max(most.get(key, 0), int(row["updates"]))
    rows = [row for row in rows if int(row["updates"]) == most[row["task"], row["cell"]]]
    names = [name for name in PUBLISHED if any(row["task"] == name for row in rows)]
    order = (*RECURRENT, *map(encoder, POSITIONS))
    texts = sorted({str(row["cell"]) for row in rows}, key=lambda text: (*order, text).index(text))
    columns = {lengths.short_name(text): [lengths.mean_and_best(rows, name, text) for name in names] for text in texts}
    columns["blind answer"] = [lengths.mean_and_best(rows, name, "", "baseline_accuracy")[:1] for name in names]
    for kind in ("RNN", "LSTM", "attention"):
        columns[f"{kind}, paper"] = [published(name, kind) for name in names]
    labels = [f"{name}  ({PUBLISHED[name][0]})" for name in names]
    title = "Accuracy in % on strings longer than those of training: mean over seeds, (best)"
    return plot.heat_map(labels, columns, title, break_after=len(texts) + 1)


if __name__ == "__main__":
    command(main, Config, __doc__)
