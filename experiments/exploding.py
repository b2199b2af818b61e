"""Where do gradients explode, and which cure lets plain SGD learn?

A tanh RNN whose recurrent matrix is orthogonal times a scale, on Shakespeare's characters, trained by SGD at several
learning rates: without a cure, with gradients shortened to a norm or cut element by element, with the regulariser Omega
of Pascanu, Mikolov and Bengio (2013), and after gradient flossing (Engelken 2023), which brings the Lyapunov exponents
of the untrained network towards zero; and combinations of these.

Expectation: gradients grow by a constant factor a step where the scale is well above 1, as tanh holds it down. Clipping
is what lets SGD learn then, at high rates (Pascanu et al. 2013); at low ones it costs speed. Omega without clipping
usually fails in that paper. One update that is not clipped can also throw the network where nothing explodes any more,
and nothing is remembered either; a loss over next characters shows that only in part.

loss_nats is of fresh text after the last update, per character, beside the loss of who reads nothing and of who knows
the last character alone. Saturated are states beyond 0.99, which let hardly any gradient pass; huge is a gradient norm
above 100; updates that are not finite are left out and counted. The printed table has the learning rate with the lowest
mean loss of each method.

    python -m experiments.exploding
    python -m experiments.exploding --scales 2 --methods plain norm --rates 0.1 1
"""

import functools
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.gradients import explosions, sources
from experiments.gradients.flows import Training, Windows, flow, last_target, model_of, powers
from experiments.harness.cells import size_of
from experiments.harness.command import check_options, command
from experiments.harness.figures import print_figures
from experiments.harness.run import Row, Rows, Run
from experiments.harness.spread import interval, spread
from experiments.harness.tables import table
from seqjax import plot, train
from seqjax._internal.types import Array, Float, Int, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import log_mean, saturation
from seqjax.initializers import orthogonal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HUGE = 100.0
POINTS = 50  # of a curve over training
SEEN = 16  # sequences on which norms are measured
BATCHES = 4  # of fresh text for the loss of the table


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    scales: tuple[float, ...] = (1.0, 1.5, 2.0)
    """Of the orthogonal recurrent matrix"""
    methods: tuple[str, ...] = explosions.METHODS
    """plain, or of norm, value, omega, flossing, joined by +"""
    rates: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
    """Learning rates of SGD"""
    units: int = 64
    """Width of the RNN"""
    length: int = 200
    """Steps of a training sequence"""
    batch_size: int = 16
    """Sequences in a batch"""
    steps: int = 400
    """Updates"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    value: float = 0.1
    """Size to which each element of a gradient is cut"""
    omega: float = 1.0
    """Weight of the regulariser"""
    reach: int = 300
    """Steps back to which norms are followed, before and after training"""
    data: str = "shakespeare"
    """shakespeare, or the path of a text file"""
    members: int = 3
    """Seeds that are trained as one program, with all learning rates: seed, seed + 1 ..."""
    seed: int = 0
    """Of the first member's parameters, and of all sequences"""


def main(config: Config) -> dict[str, Any]:
    """Train by each method; table and figures are also in the run folder.

    Raises:
        ArgumentError: an option out of range, a method that is not known, or no text.
    """
    check_options(config, *(name for name in Config.__dataclass_fields__ if name not in ("seed", "data", "methods")))
    for method in config.methods:
        explosions.parts_of(method)
    source = sources.load(config.data)
    if source.front is None or max(config.length, config.reach) > source.longest:
        raise sj.ArgumentError(f"length and reach must be at most {source.longest} characters of a text")
    run = Run("exploding", config, by=("scale", "method", "learning_rate"))
    jobs = {
        f"{method} scale {scale:g}": functools.partial(study, config, source, scale, method)
        for scale, method in itertools.product(config.scales, config.methods)
    }
    rows = run.work(jobs)
    print(table(spread(best_of(rows), run.by)))
    print_figures(run, lambda: figures(rows, source.name))
    summary = {"by": list(run.by), "measure": "loss_nats", "trend": None, "rows": rows}
    run.finish(summary)
    return summary


def study(config: Config, source: sources.Source, scale: float, method: str, folder: Path) -> Rows:
    """All seeds and learning rates of one method, as one program; a row for each."""
    begun, model = time.time(), model_of(sj.RNN(config.units, recurrent_init=orthogonal(scale)), source)
    windows = Windows(source, Training(config.steps, config.length, config.batch_size, 0.0, config.seed))
    settings = explosions.Settings(config.clip, config.value, config.omega)

    seeds = range(config.seed, config.seed + config.members)
    starts = {seed: model.init(jax.random.key(seed), 0) for seed in seeds}
    if "flossing" in explosions.parts_of(method):
        starts = {seed: explosions.floss(model, params, windows.batch(0)[0]) for seed, params in starts.items()}
    found = train.sweep(
        lambda rate: explosions.make_step(model, method, settings, config.steps, rate),
        lambda key: starts[int(jax.random.key_data(key)[-1])],  # the seed that the key was made of
        windows,
        seeds=seeds,
        learning_rates=config.rates,
        steps=config.steps,
        every=1,
    )
    rows: Rows = []
    assert source.ids is not None
    known = baselines(source.ids)
    for i, seed in enumerate(seeds):
        start = reached(config, source, model, starts[seed])
        for j, rate in enumerate(config.rates):
            params = jax.tree.map(lambda leaf: leaf[i, j], found.state.params)
            row: Row = {"scale": scale, "method": method, "learning_rate": rate, "seed": seed}
            row |= test(config, source, model, params) | known
            row |= over_training({name: np.array([r[name][i, j] for r in found.history]) for name in NAMES})
            ends = ("start", start), ("end", reached(config, source, model, params))
            row |= {f"log10_norms_{end}": logs for end, logs in ends}
            row |= {f"log10_growth_{end}": fall(logs) for end, logs in ends}
            rows.append(row | {"parameters": size_of(params), "updates": config.steps})
    return [row | {"seconds_of_all": round(time.time() - begun, 1)} for row in rows]


NAMES = ("nats", "norm", "skipped")


def over_training(history: dict[str, Float[np.ndarray, " N"]]) -> Row:
    """What became of an update's loss, gradient norm and skipping, each `[N]`.

    "nats" and "norm" of skipped updates are not there; such an update counts as huge too.
    """
    nats, norm, skipped = (history[name] for name in NAMES)
    kept = skipped == 0
    parts = np.array_split(np.where(kept, nats, np.nan), min(POINTS, len(nats)))
    means = [float(np.mean(part[np.isfinite(part)])) if np.isfinite(part).any() else None for part in parts]
    with np.errstate(divide="ignore"):
        logs = np.log10(norm[kept])
    return {
        "valid_loss_nats": means[-1],
        "share_huge": float(np.mean(~kept | ~(norm <= HUGE))),
        "share_not_finite": float(np.mean(~kept)),
        "log10_largest_norm": float(np.max(logs)) if kept.any() else None,
        "log10_median_norm": float(np.median(logs)) if kept.any() else None,
        "loss_over_training": means,
        "updates_over_training": [int(part[-1]) + 1 for part in np.array_split(np.arange(len(nats)), len(parts))],
    }


def reached(config: Config, source: sources.Source, model: Stack, params: PyTree) -> list[float | None]:
    """Log10 of the mean norm of dL_T / dh by distance from the loss of the last character."""
    xs, targets = source.windows(np.random.default_rng((config.seed, 1)), SEEN, config.reach)
    found = flow(model, params, xs, last_target(targets))
    return powers(log_mean(np.asarray(found.joint, np.float64)))


def fall(logs: list[float | None]) -> float | None:
    """Powers of ten by which a norm grows from one step back to the farthest; below 0 it falls."""
    return None if logs[1] is None or logs[-1] is None else logs[-1] - logs[1]


def test(config: Config, source: sources.Source, model: Stack, params: PyTree) -> Row:
    """The loss on fresh windows, nats a character, and the share of states beyond 0.99."""
    rng = np.random.default_rng((config.seed, 2))
    batches = [source.windows(rng, config.batch_size, config.length) for _ in range(BATCHES)]
    found = [nats_and_saturated(model, params, *batch) for batch in batches]
    losses, saturated = (np.mean(values, dtype=float) for values in zip(*found))
    return {"loss_nats": float(losses), "share_saturated": float(saturated)}


@functools.partial(jax.jit, static_argnums=0)
def nats_and_saturated(
    model: Stack, params: PyTree, ids: Int[jax.Array, "B T"], targets: Int[jax.Array, "B T"]
) -> tuple[Float[jax.Array, ""], Float[jax.Array, ""]]:
    """Cross-entropy of all next characters, and the share of states near -1 and 1, where tanh lets no gradient pass."""
    front, cell, _ = model.cells
    found = saturation(cell, params["1"], sj.scan(front, params["0"], ids)[1])
    loss = explosions.loss(model, 0.0, params, (ids, targets), None)[1]["nats"]
    return jnp.asarray(loss.value()), jnp.mean(found["h"].extreme)


def baselines(ids: Int[Array, " S"]) -> Row:
    """The loss of who reads nothing, and of who knows the last character alone: entropies of the text itself."""
    ids = np.asarray(ids)
    pairs = np.zeros((ids.max() + 1, ids.max() + 1))
    np.add.at(pairs, (ids[:-1], ids[1:]), 1)
    each, both = (entropy(counts) for counts in (np.bincount(ids[:-1]), pairs))
    return {"baseline_loss_nats": entropy(np.bincount(ids)), "bigram_loss_nats": both - each}


def entropy(counts: Float[np.ndarray, " N"]) -> float:
    """In nats, of the shares of what was counted."""
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log(shares)))


def best_of(rows: Rows) -> Rows:
    """The rows of the learning rate with the lowest mean loss of each scale and method."""
    losses: dict[tuple[Any, Any], dict[Any, list[float]]] = {}
    for row in rows:
        value = np.inf if row["loss_nats"] is None else row["loss_nats"]
        losses.setdefault(setting(row), {}).setdefault(row["learning_rate"], []).append(value)
    means = {key: {rate: np.mean(values) for rate, values in own.items()} for key, own in losses.items()}
    return [row for row in rows if row["learning_rate"] == min(own := means[setting(row)], key=own.__getitem__)]


def setting(row: Row) -> tuple[Any, Any]:
    """What was trained, but for the learning rate."""
    return row["scale"], row["method"]


def figures(rows: Rows, data: str) -> dict[str, "Figure"]:
    """Norms by distance at the start and the end; loss over learning rates, and over updates, at the largest scale."""
    scales = list(dict.fromkeys(row["scale"] for row in rows))
    top = [row for row in rows if row["scale"] == max(scales)]
    best = best_of(rows)
    first = best[0]["method"]
    starts = {f"scale {s:g}": norms([row for row in best if setting(row) == (s, first)], "start") for s in scales}
    methods = list(dict.fromkeys(row["method"] for row in top))
    kept = {name: [row for row in best if setting(row) == (max(scales), name)] for name in methods}
    ends = {f"{end} of training": {name: norms(own, end) for name, own in kept.items()} for end in ("start", "end")}
    about = f"RNN, recurrent scale {max(scales):g}, {data}"
    over_rates = {name: by_rate([row for row in top if row["method"] == name]) for name in methods}
    curves = {f"{name}, rate {own[0]['learning_rate']:g}": [history(row) for row in own] for name, own in kept.items()}
    title = f"Recurrent scale {max(scales):g}, best rates (baseline: the last character alone)"
    bigram = rows[0]["bigram_loss_nats"]
    return {
        "growth": plot.norm_by_distance({"start of training": starts}, f"RNN, {data}"),
        "norms": plot.norm_by_distance(ends, about),
        "loss_by_rate": plot.trend(over_rates, "learning rate of SGD", "nats a character", about, (0, np.inf)),
        "loss": plot.learning_curves(curves, "nats a character", bigram, title),
    }


def norms(rows: Rows, end: str) -> dict[str, Float[np.ndarray, " T+1"]]:
    """The mean over seeds of log10 norms; of exactly zero, none."""
    return {"mean": np.mean([np.array(row[f"log10_norms_{end}"], float) for row in rows], axis=0)}


def by_rate(rows: Rows) -> list[tuple[float, float, float]]:
    """Mean loss and its interval at each learning rate."""
    rates = sorted({row["learning_rate"] for row in rows})
    found = [(r, [row["loss_nats"] for row in rows if row["learning_rate"] == r]) for r in rates]
    return [(rate, *interval([v for v in values if v is not None] or [np.nan])) for rate, values in found]


def history(row: Row) -> list[dict[str, float]]:
    """The loss over training, where there is one."""
    pairs = zip(row["updates_over_training"], row["loss_over_training"])
    return [{"step": step, "nats a character": loss} for step, loss in pairs if loss is not None]


if __name__ == "__main__":
    command(main, Config, __doc__)
