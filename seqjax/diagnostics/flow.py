"""How much gradient reaches back: norms of dL/dh_t for every t and layer, in one backward pass, as logarithms.

Float32 gradients vanish at 1e-45 and overflow at 3e38, long before a study of vanishing and exploding ends. So
the backward pass here carries numbers near 1 and an exponent for each: 1e-60 comes out as -138.2, not as 0.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.core import arguments as checks
from seqjax.core import driver
from seqjax.core.cell import Cell, Params, initial_carry
from seqjax.core.plan import harmless
from seqjax.diagnostics.scaled import Scaled, log_norm, normal
from seqjax.diagnostics.walk import walk
from seqjax.diagnostics.way import Report, Way
from seqjax.errors import ArgumentError

OUTPUTS = ("last", "all")


class GradientFlow(NamedTuple):
    """Natural logarithms of gradient norms; -inf is a gradient of exactly zero, NaN a step that is not real.

    loss: `[B]`, L.
    joint: `[B, T + 1]` by distance k from the last step of the array. k = 0: the norm of dL/dy_T, what arrives at
        the last output (for a cell whose output is its state h, dL/dh_T). k > 0: the norm of dL/d carry after
        step T - k, all its parts together; k = T is the initial carry. It is the path through the carry: what the
        output of step T - k itself adds to a loss over all outputs comes in one k further.
    parts: the same for each part of the carry alone, `[B, T]` from k = 1, by name ("c", "h", "[1].h"; "" for a lone
        one). For a cell that is read backwards it is the carry that enters step T - k + 1 from its right.
    parameters: the norm of the gradient of the mean of L over the batch in the cell's parameters, one number.
    layers: `[B, T]` by step t = 1 ... T, the whole derivative dL/dv_t in each value that a cell taps, and in each
        layer's output, by path: states ("0/h"), gates ("0/f") and outputs ("0/y") of every layer and direction. Paths
        are those of `seqjax.core.trace`; the layers of `repeat` have one each ("0/layer/2/h").
    inputs: `[B, T]` by step, the norm of dL/dx_t; None where inputs are token ids.
    """

    loss: jax.Array
    joint: jax.Array
    parts: dict[str, jax.Array]
    parameters: jax.Array
    layers: dict[str, jax.Array]
    inputs: jax.Array | None


def gradient_flow(
    cell: Cell,
    params: Params,
    xs: Any,
    loss: Callable[[Any], jax.Array],
    carry: Any = None,
    *,
    mask: Any = None,
    outputs: str = "last",
) -> GradientFlow:
    """Norms of the gradient of a loss in every state of every layer (Pascanu, Mikolov, Bengio 2013).

    lambda_(t-1) = J_t^T (lambda_t + what the loss and the layers above ask of step t), with J_t the Jacobian of
    `cell.step`, layer by layer from the last to the first; examples are independent.

    Cost: three runs forwards and one backwards, step by step; memory for sqrt(T) carries a layer, and for the outputs
    of all layers.

    Args:
        cell: any cell or stack, also with layers that read both directions.
        params, xs, carry, mask: as in `seqjax.scan`, with one batch axis, xs `[B, T, D]`. Pad on the left
            (mask False) to measure many lengths with one compilation.
        loss: L of each row, `[B]`: of the last real output `[B, F]`, or of all of them `[B, T, F]`. What it reads
            besides (targets, a readout) is taken anew at each call.
        outputs: which of the two, "last" or "all". Unreal outputs are zero.

    Raises:
        ArgumentError, ArgumentTypeError: there is not one batch axis, or no step; what `scan` refuses.
    """
    call = driver.prepare(cell, params, xs, carry, driver.Options(mask=mask))
    shape = checks.sequence_shape(cell, xs, False)
    if outputs not in OUTPUTS:
        raise ArgumentError(f"gradient_flow: outputs must be 'last' or 'all', found {outputs!r}")
    if len(shape.batch) != 1 or shape.length == 0:
        raise ArgumentError(
            f"gradient_flow: xs must have one batch axis and at least one step, found batch {shape.batch} "
            f"and {shape.length} steps. A single sequence? Pass xs[None]"
        )
    inline = call.is_inline()
    ys = (driver.run if inline else driver.compiled)(*call)[1]
    # The loss is called here, and not within a program that is kept: what it reads may be something else next time.
    losses, seed = _seed(loss, outputs, shape.leaves_time_first(ys), _real(call.marks, shape))
    return (_flow if inline else _compiled)(cell, outputs, params, xs, call.carry, call.marks, losses, seed)


def _real(marks: driver.Marks, shape: checks.Shape) -> jax.Array:
    mask = driver.real_steps(marks, shape)
    return jnp.ones((shape.length, *shape.batch), bool) if mask is None else jnp.asarray(mask)


def _flow(
    cell: Cell, outputs: str, params: Params, xs: Any, carry: Any, marks: driver.Marks, losses: Any, seed: Scaled
) -> GradientFlow:
    shape = checks.sequence_shape(cell, xs, False)
    real, fresh, report = _real(marks, shape), carry is None, Report()
    if fresh:
        carry = initial_carry(cell, params, shape.batch, in_features=shape.width)
    xs = harmless(shape.leaves_time_first(xs), driver.real_steps(marks, shape), False)
    _, back = walk(cell, params, carry, xs, Way(real, fresh, report))
    begun = back(seed)
    parts = {name: logs[::-1].T for name, logs in report.states.items()}
    return GradientFlow(
        loss=losses,
        joint=jnp.concatenate([_start(outputs, seed, real)[:, None], _together(list(parts.values()), real)], axis=1),
        parts=parts,
        parameters=_together([logs[None] for logs in report.parameters], None)[0] - math.log(shape.batch[0]),
        layers={name: logs.T for name, logs in report.totals.items()},
        inputs=jnp.where(real, log_norm(*begun), jnp.nan).T if jax.tree.leaves(begun.tree) else None,
    )


_compiled = jax.jit(_flow, static_argnums=(0, 1))


def _start(outputs: str, seed: Scaled, real: jax.Array) -> jax.Array:
    """What arrives at the last output; with outputs="last" that is the last real one, wherever it is."""
    arriving = log_norm(*seed)
    return jnp.max(arriving, axis=0) if outputs == "last" else jnp.where(real[-1], arriving[-1], jnp.nan)


def _seed(loss: Callable, outputs: str, ys: Any, real: Any) -> tuple[jax.Array, Scaled]:
    """L of each row, and its cotangents of ys `[T, B, F]`, which are zero in unreal steps."""

    def of(ys: Any) -> Any:
        if outputs == "all":
            return loss(jax.tree.map(lambda y: jnp.moveaxis(y, 0, 1), driver.clean(ys, real)))
        return loss(jax.tree.map(lambda y: jnp.sum(y, axis=0), driver.clean(ys, _last(real))))

    losses, pull = jax.vjp(of, ys)
    if getattr(losses, "shape", None) != real.shape[1:]:
        found = getattr(losses, "shape", losses)
        raise ArgumentError(f"gradient_flow: loss gave shape {found}, expected one number a row, {real.shape[1:]}")
    return losses, normal(pull(jnp.ones_like(losses))[0], jnp.zeros(real.shape, jnp.int32))


def _last(real: Any) -> jax.Array:
    """True at the last real step of each row, `[T, B]`."""
    return real & (jnp.cumsum(real[::-1], axis=0)[::-1] == 1)


def _together(logs: list[jax.Array], real: Any) -> jax.Array:
    """The log norm of vectors side by side; NaN entries stay NaN."""
    if not logs:
        shape = (1,) if real is None else real.T.shape
        return jnp.full(shape, -jnp.inf)
    both = jnp.stack(logs)
    top = jnp.max(both, axis=0)
    safe = jnp.where(jnp.isfinite(top), top, 0)
    return safe + 0.5 * jnp.log(jnp.sum(jnp.exp(2 * (both - safe[None])), axis=0))


def log_mean(logs: Any, axis: int = 0) -> np.ndarray:
    """The logarithm of the mean of norms given as logarithms, NaN entries left out."""
    logs = np.asarray(logs, np.float64)
    count = np.sum(~np.isnan(logs), axis=axis)
    logs = np.where(np.isnan(logs), -np.inf, logs)
    largest = np.max(logs, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.log(np.sum(np.exp(logs - largest), axis=axis))
        return np.where(count > 0, total + np.squeeze(largest, axis) - np.log(count), np.nan)


def half_life(logs: Any) -> float:
    """Steps in which a norm halves, from the least-squares slope of its logarithm over distance.

    inf where it neither falls nor grows; negative where it grows, the steps in which it doubles; NaN where fewer
    than two entries are finite.

    Raises:
        ArgumentError: logs are not one curve.
    """
    logs = np.asarray(logs, np.float64)
    if logs.ndim != 1:
        raise ArgumentError(
            f"half_life: logs must be one curve over distance, found shape {logs.shape}. Write half_life(log_mean(...))"
        )
    distance = np.flatnonzero(np.isfinite(logs))
    if len(distance) < 2:
        return math.nan
    slope = np.polyfit(distance, logs[distance], 1)[0]
    return math.inf if abs(slope) < 1e-12 else -math.log(2) / slope
