"""Trainings inside a run: fit with its log and checkpoints in the unit's folder, and what every experiment scores."""

import bisect
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax

import seqjax as sj
from experiments.common import Stopped
from seqjax import losses, train


def trained(
    folder: Path, model: sj.Cell, loss: Callable[..., Any], source: Any, *, steps: int, seed: int, rate: float,
    params: Any = None, in_features: int | None = None, optimizer: Any = None, every: int = 100,
    evaluation: train.Evaluation | None = None, **options: Any,
) -> tuple[train.Result, dict[str, Any]]:  # fmt: skip
    """Train in a unit's folder, from where it stopped; the result, and the columns that all trainings have.

    The optimiser is Adam with learning rate `rate` where none is given; options are those of `make_train_step`. A
    training that diverges goes on to its end, as that is a finding: its skipped steps are counted in the columns.

    Raises:
        Stopped: SIGTERM came; the checkpoint is written.
    """
    if in_features is None:
        in_features = in_features_of(source.batch(0).inputs)
    if params is None:
        params = jax.jit(model.init, static_argnums=1)(jax.random.key(seed), in_features)
    saved = train.Checkpoints(folder / "checkpoints", keep=1, cell=model, in_features=in_features)
    begun = time.time() if saved.latest() is None else None
    step = train.make_train_step(loss, optimizer or optax.adam(rate), **{"max_skips": steps + 1} | options)
    result = train.fit(
        step,
        step.init(params, jax.random.key(seed)),
        source,
        steps=steps,
        every=every,
        evaluation=evaluation,
        log=folder,
        checkpoints=saved,
    )
    if result.reason == "terminated":
        raise Stopped(f"{folder}: stopped and saved; the same command goes on")
    best_step, best_value = result.best or (None, None)
    columns = {
        "valid": best_value,
        "best at": best_step,
        "parameters": sizes(params),
        "steps": int(result.state.step),
        "seconds": None if begun is None else round(time.time() - begun, 1),  # unknown where it was stopped
        "skipped": int(result.state.skipped.in_all),
    }
    return result, columns


def cells_of(texts: Sequence[str]) -> list[sj.Cell]:
    """The cells that a command line names: ones that read vectors, step by step, without drawing random numbers.

    Raises:
        ArgumentError: another one, or no cell.
    """
    cells = [sj.cell_from_text(text) for text in texts]
    for cell in cells:
        if not cell.causal:
            raise sj.ArgumentError(f"cell: {cell!r} reads both directions, so it sees what it is to predict")
        if cell.feature_axes != 1 or "key" in cell.asks:
            raise sj.ArgumentError(f"cell: {cell!r} must take vectors and draw no random numbers")
    return cells


def in_features_of(inputs: Any) -> int:
    """Features of one input: those on the last axis, 0 for tokens."""
    return inputs.shape[-1] if jnp.issubdtype(inputs.dtype, jnp.floating) else 0


def sizes(params: Any) -> int:
    """Number of parameters."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def at_last(model: sj.Cell, params: Any, batch: Any) -> jax.Array:
    """Outputs `[B, F]` of a model at the last real step."""
    return losses.last(sj.scan(model, params, batch.inputs, lengths=batch.lengths)[1], batch.lengths)


def first_below(history: list[dict[str, Any]], name: str, bound: float) -> int | None:
    """The first step whose evaluation is below a bound."""
    return next((row["step"] for row in history if row.get(f"evaluation/{name}", math.inf) < bound), None)


def matched(cell: Any, parameters: int, in_features: int, model_of: Callable[[sj.Cell], sj.Cell] = lambda c: c) -> Any:
    """The cell of the width with which `model_of(cell)` has about so many parameters."""

    def of(features: int) -> Any:
        return dataclasses.replace(cell, features=features)

    def size(features: int) -> int:
        model = model_of(of(features))
        return sizes(jax.eval_shape(lambda: model.init(jax.random.key(0), in_features)))

    above = bisect.bisect_left(range(1, parameters + 2), parameters, key=size) + 1
    return of(min(above, max(1, above - 1), key=lambda features: abs(size(features) - parameters)))
