"""Numbers, tables, words and figures of the gradient-norm experiment, from its rows."""

import math
from typing import TYPE_CHECKING, Any

from experiments.harness.run import Row, Rows
from seqjax import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DISTANCES = (1, 10, 100, 1000)


def norms_at(log10_norms: list[float | None]) -> dict[str, float | None]:
    """The norms at a few distances from the loss, as columns."""
    return {f"log10_norm_at_distance_{k}": log10_norms[k] for k in DISTANCES if k < len(log10_norms)}


def flow_rows(rows: Rows) -> Rows:
    """Numbers of the summary: each cell before and after training, at the longest length."""
    flows = [row for row in rows if "length" in row and row["group"] != "exploding"]
    longest = max(row["length"] for row in flows)
    return [_numbers(row) for row in flows if row["length"] == longest]


def exploding_rows(rows: Rows) -> Rows:
    """Numbers of the summary: what clipping does for the exploding RNN."""
    return [_numbers(row) for row in rows if row["group"] == "exploding training"]


def flow_table(summary: Rows) -> list[list[str]]:
    """The rows of the summary as words."""
    distances = [k for k in DISTANCES if f"log10_norm_at_distance_{k}" in summary[0]]
    head = ["compared", "cell", "parameters", "training", "loss", "half-life", "of inputs"]
    lines = [head + [f"k = {k}" for k in distances] + ["|dL/dparams|"]]
    for row in summary:
        names = (row["group"], row["cell"], f"{row['parameters']:,}", row["phase"])
        numbers = (_two_digits(row["loss_nats"]), *(_steps(row[f"{of}half_life_steps"]) for of in ("", "input_")))
        norms = (_power(row[f"log10_norm_at_distance_{k}"]) for k in distances)
        lines.append([*names, *numbers, *norms, _power(row["log10_parameter_norm"])])
    return lines


def exploding_table(summary: Rows) -> list[list[str]]:
    """The rows of the summary as words."""
    lines = [["exploding, SGD", "clipping", "first loss", "last loss", "largest norm", "median norm"]]
    for row in summary:
        clip = f"to {row['clip']:g}" if row["clip"] else "none"
        losses = [_two_digits(row[name]) for name in ("first_loss_nats", "last_loss_nats")]
        norms = ["inf" if row[name] is None else f"{row[name]:.1e}" for name in ("largest_norm", "median_norm")]
        lines.append([row["cell"], clip, *losses, *norms])
    return lines


def in_words(summary: Rows) -> str:
    """The table of the flows in plain words."""
    lines = [
        "How to read it: k is the distance in steps from the loss at the end of the sequence; the columns give the",
        "mean norm of dL/dcarry there, and half-lives are of it and of dL/dx, in the inputs. A half-life of 10 steps",
        "means that the gradient halves every 10 steps.",
    ]
    before = {(row["group"], row["cell"]): row for row in summary if row["phase"] == "before"}
    for row in summary:
        if row["phase"] == "after":
            first, then = _words(before[row["group"], row["cell"]]), _words(row)
            lines.append(f"{row['cell']} ({row['group']}): {first} before training; {then} after it.")
    return "\n".join(lines)


def figures(rows: Rows, data: str) -> dict[str, "Figure"]:
    """Norm by distance at the longest length, parameter gradient by length, and the exploding RNN in training."""
    by_distance: dict[str, dict[str, Any]] = {}
    of_inputs: dict[str, dict[str, Any]] = {}
    by_length: dict[str, dict[str, list[float | None]]] = {}
    flows = [row for row in rows if "length" in row]
    lengths = sorted({row["length"] for row in flows})
    for row in flows:
        group = row["group"] if row["group"] == "exploding" else f"{row['group']}, {row['phase']} training"
        by_length.setdefault(group, {}).setdefault(row["cell"], []).append(row["log10_parameter_norm"])
        if row["length"] == lengths[-1]:
            curves = {"mean": row["log10_norms"], "p10": row["log10_norms_p10"], "p90": row["log10_norms_p90"]}
            by_distance.setdefault(group, {})[row["cell"]] = curves
            of_inputs.setdefault(group, {})[row["cell"]] = {"mean": row["log10_input_norms"]}
    title = f"Gradient of the last step's loss over {lengths[-1]:,} steps of {data}"
    drawn: dict[str, Figure] = {
        "norm_by_distance": plot.norm_by_distance(by_distance, title),
        "input_norm_by_distance": plot.norm_by_distance(of_inputs, title, of="x_t"),
        "norm_by_length": plot.norm_by_length(by_length, lengths, f"Parameter gradient by length, {data}"),
    }
    clips = [row for row in rows if row["group"] == "exploding training"]
    if clips:
        names = [f"clipped to {row['clip']:g}" if row["clip"] else "not clipped" for row in clips]
        norms, losses = (
            dict(zip(names, (row[key] for row in clips))) for key in ("log10_norm_by_step", "loss_by_step")
        )
        drawn["exploding"] = plot.training(norms, losses, f"{clips[0]['cell']} under SGD")
    return drawn


def _numbers(row: Row) -> Row:
    return {name: value for name, value in row.items() if not isinstance(value, (list, dict))}


def _two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _power(log10: float | None) -> str:
    """Ten to a power that floats may not reach."""
    if log10 is None:
        return "0"
    exponent = math.floor(log10)
    return f"{10 ** (log10 - exponent):.1f}e{exponent:+03d}"


def _steps(half_life: float | None) -> str:
    if half_life is None:
        return "-"
    return f"{half_life:.1f}" if half_life > 0 else f"doubles in {-half_life:.1f}"


def _words(row: Row) -> str:
    steps = row["half_life_steps"]
    if steps is None:
        return "neither falls nor grows"
    if steps < 0:
        return f"doubles every {-steps:.1f} steps"
    return f"halves every {steps:.1f} steps (a billionth is left after {30 * steps:.0f})"
