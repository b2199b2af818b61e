"""The arithmetic of the comparison: turns that alternate, ratios and their means, agreement of numbers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.peers.frameworks import OURS

TOLERANCE = 1e-4
Times = dict[str, list[float]]


def take_turns(programs: Mapping[str, Callable[[], Times]], turns: int) -> dict[str, Times]:
    """All times by program. Each turn begins with another one, so that none always comes first.

    >>> log = []
    >>> run = lambda name: lambda: log.append(name) or {"cpu": [float(len(log))]}
    >>> take_turns({name: run(name) for name in "abc"}, 2)
    {'a': {'cpu': [1.0, 6.0]}, 'b': {'cpu': [2.0, 4.0]}, 'c': {'cpu': [3.0, 5.0]}}
    """
    names = list(programs)
    times: dict[str, Times] = {name: {} for name in names}
    for turn in range(turns):
        for i in range(len(names)):
            name = names[(turn + i) % len(names)]
            for kind, taken in programs[name]().items():
                times[name].setdefault(kind, []).extend(taken)
    return times


def geometric_mean(values: Iterable[float]) -> float:
    """The n-th root of the product of n positive numbers.

    >>> geometric_mean([0.5, 2.0, 1.0])
    1.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def find_differences(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> dict[str, float]:
    """For every array that is found, its largest difference from the wanted one, relative to the largest there.

    Raises:
        ValueError: one is of another shape, or none is found.
    """
    if not found:
        raise ValueError("no numbers to compare")
    for name in found:
        if name not in wanted or found[name].shape != wanted[name].shape:
            raise ValueError(f"{name} has the shape {found[name].shape}, wanted {np.shape(wanted.get(name, ()))}")
    return {n: float(np.max(abs(a - wanted[n])) / (np.max(abs(wanted[n])) or 1.0)) for n, a in found.items()}


def timing_columns(taken: Times, ours: Times) -> dict[str, float]:
    """Least and median of the times, and ours over them by the least; CPU before wall."""
    row: dict[str, float] = {}
    for kind in ("cpu", "wall"):
        row[f"ours_over_it_{kind}"] = min(ours[kind]) / min(taken[kind])
        row |= {f"{kind}_min_ms": min(taken[kind]), f"{kind}_median_ms": float(np.median(taken[kind]))}
    return row


SIZES = ("batch_size", "length", "in_features", "features", "lengths")


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Over the shapes of each work and call: the mean and the worst of ours over each framework, by CPU time.

    `fastest JAX` is, at each point, the fastest framework on JAX that is not ours.
    """
    groups: dict[tuple[str, str, str], list[float]] = {}
    fastest: dict[tuple[Any, ...], float] = {}
    for row in rows:
        name, ratio = row["framework"], row.get("ours_over_it_cpu")
        if ratio is None or name in OURS:
            continue
        groups.setdefault((row["work"], row["call"], name), []).append(ratio)
        if name != "torch":
            point = (row["work"], row["call"], *(row.get(size) for size in SIZES))
            fastest[point] = max(fastest.get(point, 0.0), ratio)
    for (work, call, *_), ratio in fastest.items():
        groups.setdefault((work, call, "fastest JAX"), []).append(ratio)
    head = ("work", "call", "ours_over")
    return [
        dict(zip(head, key)) | {"mean": geometric_mean(v), "worst": max(v), "points": len(v)}
        for key, v in sorted(groups.items())
    ]
