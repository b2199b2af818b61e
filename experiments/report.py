"""Tables, words and figures of the gradient-norm experiment, from its rows."""

import math
from typing import Any

from seqjax import plot


def flow_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The table: one line a cell, before and after training, at the longest length."""
    head = ["compared", "cell", "parameters", "training", "loss", "half-life"]
    longest = _longest(rows)[0]["length"]
    distances = [d for d in (1, 10, 100, 1000) if d <= longest]
    lines = [head + [f"k = {d}" for d in distances] + ["|dL/dparams|"]]
    for row in _longest(rows):
        values = [_power(row["mean"][d]) for d in distances]
        lines.append(
            [
                row["group"],
                row["cell"],
                f"{row['size']:,}",
                row["phase"],
                f"{row['loss']:.2f}",
                _steps(row["half_life"]),
                *values,
                _power(row["parameters"]),
            ]
        )
    return lines


def exploding_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """What clipping does for the exploding RNN."""
    lines = [["exploding, SGD", "clipping", "first loss", "last loss", "largest norm", "median norm"]]
    for row in rows:
        if row["group"] == "exploding training":
            clip = f"to {row['clip']:g}" if row["clip"] else "none"
            ends = [f"{row[name]:.2f}" for name in ("first loss", "last loss")]
            norms = [f"{row[name]:.1e}" for name in ("largest norm", "median norm")]
            lines.append([row["cell"], clip, *ends, *norms])
    return lines if len(lines) > 1 else []


def reading(rows: list[dict[str, Any]]) -> str:
    """The table in plain words."""
    lines = [
        "How to read it: k is the distance in steps from the loss at the end of the sequence; the columns give the",
        "mean norm of dL/dcarry there. A half-life of 10 steps means that the gradient halves every 10 steps.",
    ]
    for row in _longest(rows):
        if row["phase"] != "after":
            continue
        before = next(r for r in _longest(rows) if r["phase"] == "before" and _key(r) == _key(row))
        lines.append(f"{row['cell']} ({row['group']}): {_words(before)} before training; {_words(row)} after it.")
    return "\n".join(lines)


def figures(rows: list[dict[str, Any]], data: str) -> dict[str, Any]:
    """Norm by distance at the longest length, parameter gradient by length, and the exploding RNN in training."""
    by_distance: dict[str, dict[str, Any]] = {}
    by_length: dict[str, dict[str, list[float]]] = {}
    flows = [row for row in rows if "length" in row]
    lengths = sorted({row["length"] for row in flows})
    for row in flows:
        group = row["group"] if row["group"] == "exploding" else f"{row['group']}, {row['phase']} training"
        by_length.setdefault(group, {}).setdefault(row["cell"], []).append(row["parameters"])
        if row["length"] == lengths[-1]:
            by_distance.setdefault(group, {})[row["cell"]] = row
    drawn = {
        "norm_by_distance": plot.norm_by_distance(
            by_distance, f"Gradient of the last step's loss over {lengths[-1]:,} steps of {data}"
        ),
        "norm_by_length": plot.norm_by_length(by_length, lengths, f"Parameter gradient by length, {data}"),
    }
    clips = [row for row in rows if row["group"] == "exploding training"]
    if clips:
        names = [f"clipped to {row['clip']:g}" if row["clip"] else "not clipped" for row in clips]
        norms, losses = ({n: row[key] for n, row in zip(names, clips)} for key in ("norms", "losses"))
        drawn["exploding"] = plot.training(norms, losses, f"{clips[0]['cell']} under SGD")
    return drawn


def _longest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    flows = [row for row in rows if "length" in row]
    longest = max(row["length"] for row in flows)
    return [row for row in flows if row["length"] == longest and row["group"] != "exploding"]


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["group"], row["cell"]


def _power(log10: float | None) -> str:
    if log10 is None or math.isinf(log10):
        return "0" if log10 is None else "inf"
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
        return "neither falls nor grows"
    if steps < 0:
        return f"doubles every {-steps:.1f} steps"
    return f"halves every {steps:.1f} steps (a billionth is left after {30 * steps:.0f})"
