"""Trainings inside a run: `fit` with its log and checkpoints in the unit's folder, and the columns that all have."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

import seqjax as sj
from experiments.harness.cells import size_of
from experiments.harness.run import Row, Stopped
from seqjax import Batch, losses, train
from seqjax._internal.types import Array, Float, PyTree


def init_params(model: sj.Cell, in_features: int, seed: int) -> PyTree:
    """Fresh parameters."""
    return jax.jit(model.init, static_argnums=1)(jax.random.key(seed), in_features)


def fit_unit(
    folder: Path,
    model: sj.Cell,
    step: train.TrainStep,
    state: train.State,
    source: Any,
    *,
    in_features: int,
    steps: int,
    every: int,
    evaluation: train.Evaluation,
    assets: Mapping[str, Any] | None = None,
) -> tuple[train.Result, Row]:
    """Train in a unit's folder, from where it stopped; the result, and the columns that all trainings have.

    `train.load(folder / "checkpoints")` gives the model that was trained, with its assets.

    Raises:
        Stopped: SIGTERM came; the checkpoint is written.
    """
    saved = train.Checkpoints(folder / "checkpoints", keep=1, cell=model, in_features=in_features, assets=assets)
    begun = time.time() if saved.latest() is None else None
    result = train.fit(
        step, state, source, steps=steps, every=every, evaluation=evaluation, log=folder, checkpoints=saved
    )
    if result.reason == "terminated":
        raise Stopped(f"{folder}: stopped and saved; the same command goes on")
    columns = {
        f"valid_{evaluation.metric}": None if result.best is None else result.best.value,
        "best_update": None if result.best is None else result.best.step,
        "parameters": size_of(state.params),
        "updates": int(result.state.step),
        "seconds": None if begun is None else round(time.time() - begun, 1),  # unknown where it was stopped
        "skipped_updates": int(result.state.skipped.in_all),
    }
    return result, columns


def at_last(model: sj.Cell, params: PyTree, batch: Batch) -> Float[Array, "B F"]:
    """Outputs of a model at the last real step."""
    return losses.last(sj.scan(model, params, batch.inputs, lengths=batch.lengths)[1], batch.lengths)


def first_below(history: list[dict[str, Any]], name: str, bound: float) -> int | None:
    """The first step whose evaluation is below a bound."""
    return next((row["step"] for row in history if row.get(f"evaluation/{name}", math.inf) < bound), None)
