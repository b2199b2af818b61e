"""The gradient of the loss of the last step, of one in the middle and of all: in the inputs and in every layer."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from experiments.gradients.flows import powers
from experiments.gradients.layers import measure
from experiments.harness.run import Row, Rows
from seqjax import Batch, losses
from seqjax._internal.types import Array, Float, PyTree
from seqjax.combinators import Stack
from seqjax.diagnostics import GradientFlow, gradient_flow, log_mean, memory_horizon

LOSSES = ("last", "middle", "all")


def weights_of(loss: str, length: int) -> Float[np.ndarray, " T"]:
    """Which steps' losses are summed: that of the last step, of the one in the middle, or all."""
    chosen = {"last": [length - 1], "middle": [length // 2], "all": range(length)}[loss]
    return np.isin(np.arange(length), chosen).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def flow(model: Stack, params: PyTree, batch: Batch, weights: Float[Array, " T"]) -> GradientFlow:
    """The gradient flow through the cell between embedding and readout, of the weighted sum of all steps' losses."""
    front, cell, readout = model.cells
    assert isinstance(readout, sj.Dense)
    _, xs = sj.scan(front, params["0"], batch.inputs)

    def loss(ys: jax.Array) -> jax.Array:
        each = losses.cross_entropy(readout.apply(params["2"], ys), batch.targets)
        return jnp.sum(each * weights[None], axis=1)

    return gradient_flow(cell, params["1"], xs, loss, outputs="all")


def reach(model: Stack, params: PyTree, batch: Batch) -> tuple[Row, Rows]:
    """Half-lives in the inputs, with the curves; and a row for each state and output of each layer."""
    length = batch.inputs.shape[1]
    flows = {loss: flow(model, params, batch, weights_of(loss, length)) for loss in LOSSES}
    curves = {loss: log_mean(np.asarray(found.inputs, np.float64)) for loss, found in flows.items()}
    row: Row = {"from_last_back_half_life_steps": half_life(curves["last"][::-1])}
    row |= {f"from_middle_{name}": value for name, value in both_ways(curves["middle"]).items()}
    row["all_log10_first_over_middle"] = powers(curves["all"][[0]] - curves["all"][length // 2])[0]
    row |= {f"log10_inputs_from_{loss}": powers(logs) for loss, logs in curves.items()}
    return row, list(_layers(model.cells[1], flows))


def _layers(cell: sj.Cell, flows: dict[str, GradientFlow]) -> Rows:
    found = {loss: list(measure(cell, one)) for loss, one in flows.items()}
    rows = []
    for last, middle, every in zip(*(found[loss] for loss in LOSSES)):
        row: Row = {name: last[name] for name in ("path", "layer", "read", "is_state")}
        row["from_last_back_half_life_steps"] = last["half_life_steps"]
        logs = np.array([np.nan if log is None else log for log in middle["log10_norms"]]) * math.log(10)
        row |= {f"from_middle_{name}": value for name, value in both_ways(logs).items()}
        for loss, one in zip(LOSSES, (last, middle, every)):
            row |= {f"log10_norms_from_{loss}": one["log10_norms"]}
        rows.append(row)
    return rows


def both_ways(logs: Float[np.ndarray, " T"]) -> dict[str, float | None]:
    """Half-lives and the last step above 1 %, back from the middle and forward from it; None where nothing comes."""
    middle = len(logs) // 2
    found: dict[str, float | None] = {}
    for way, curve in (("back", logs[middle::-1]), ("forward", logs[middle:])):
        found |= {f"{way}_half_life_steps": half_life(curve), f"{way}_steps_above_1_percent": above(curve)}
    return found


def half_life(curve: Float[np.ndarray, " N"]) -> float | None:
    """Of log norms by distance, None where fewer than two are finite or they stay the same."""
    found = memory_horizon(curve).half_life
    return found if math.isfinite(found) else None


def above(curve: Float[np.ndarray, " N"]) -> float | None:
    """The last distance at which more than 1 % is left; 0 where nothing comes from any other step."""
    found = memory_horizon(curve).epsilon_horizon
    return found if math.isfinite(found) else None


def mean_curve(rows: Sequence[Row], name: str) -> list[float | None]:
    """The mean of log10 norms over rows; None where one of them is zero."""
    columns = zip(*(row[name] for row in rows))
    return [None if None in column else float(np.mean(column)) for column in columns]
