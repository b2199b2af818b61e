"""Tables, words and figures of the gradient-norm experiment, from its rows."""

import math
from typing import Any

from seqjax import plot


def flow_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The table: one line a cell, before and after training, at the longest length."""
    head = ["compared", "cell", "parameters", "training", "loss", "half-life"]
    distances = [d for d in (1, 10, 100, 1000) if d <= max(r["length"] for r in rows)]
    lines = [head + [f"k = {d}" for d in distances] + ["|dL/dparams|"]]
    for row in _longest(rows):
        values = [_power(row["mean"][d]) for d in distances]
        lines.append(
            [row["group"], row["cell"], f"{row['size']:,}", row["phase"], f"{row['loss']:.2f}",
             _steps(row["half_life"]), *values, _power(row["parameters"])]  # fmt: skip
        )
    return lines


def exploding_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """What clipping does for the exploding RNN."""
    found = [r for r in rows if r["group"] == "exploding"]
    if not found:
        return []
    lines = [["exploding RNN under SGD", "half-life at the start", "first loss", "last loss", "largest norm"]]
    for row in found:
        clip = f"clipped to {row['clip']:g}" if row["clip"] else "no clipping"
        lines.append([f"{row['cell']}, {clip}", _steps(row["half_life"]), f"{row['first_loss']:.2f}",
                      f"{row['last_loss']:.2f}", f"{row['largest_norm']:.3g}"])  # fmt: skip
    return lines


def reading(rows: list[dict[str, Any]]) -> str:
    """The table in plain words."""
    lines = [
        "How to read it: k is the distance in steps from the loss at the end of the sequence; the columns give the",
        "mean norm of dL/dcarry there. A half-life of 10 steps means that the gradient halves every 10 steps.",
    ]
    for row in _longest(rows):
        if row["phase"] != "after":
            continue
        before = next(r for r in _longest(rows) if r["phase"] == "before" and _same(r, row))
        lines.append(
            f"{row['cell']} ({row['group']}): {_words(before)} before training, {_words(row)} after it."
        )
    return "\n".join(lines)


def figures(rows: list[dict[str, Any]], lengths: tuple[int, ...], data: str) -> dict[str, Any]:
    """Norm by distance at the longest length, and parameter gradient by length."""
    by_distance: dict[str, dict[str, Any]] = {}
    by_length: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["group"] == "exploding" and row["clip"]:
            continue
        group = row["group"] if row["group"] == "exploding" else f"{row['group']}, {row['phase']} training"
        if row["length"] == max(lengths):
            by_distance.setdefault(group, {})[row["cell"]] = row
        if row["group"] != "exploding":
            by_length.setdefault(group, {}).setdefault(row["cell"], []).append(row["parameters"])
    return {
        "norm_by_distance": plot.norm_by_distance(
            by_distance, f"Gradient of the last loss, {max(lengths):,} steps of {data}"
        ),
        "norm_by_length": plot.norm_by_length(by_length, lengths, f"Parameter gradient by length, {data}"),
    }


def _longest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    longest = max(row["length"] for row in rows)
    return [row for row in rows if row["length"] == longest and row["group"] != "exploding"]


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return (a["group"], a["cell"]) == (b["group"], b["cell"])


def _power(log10: float | None) -> str:
    if log10 is None:
        return "0"
    exponent = math.floor(log10)
    return f"{10 ** (log10 - exponent):.1f}e{exponent:+03d}"


def _steps(half_life: float) -> str:
    if math.isnan(half_life):
        return "-"
    if math.isinf(half_life):
        return "for ever"
    return f"{half_life:.1f}" if half_life > 0 else f"doubles in {-half_life:.1f}"


def _words(row: dict[str, Any]) -> str:
    steps = row["half_life"]
    if math.isnan(steps) or math.isinf(steps):
        return "it neither falls nor grows"
    if steps < 0:
        return f"it doubles every {-steps:.1f} steps"
    return f"it halves every {steps:.1f} steps, so a billionth is left after {30 * steps:.0f}"
