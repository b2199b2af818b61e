"""How much gradient reaches back: norms of dL/dh_t for every t and layer, in one backward pass, as logarithms.

Float32 gradients vanish at 1e-45 and overflow at 3e38, long before a study of vanishing and exploding ends. So
the backward pass here carries numbers near 1 and an exponent for each: 1e-60 comes out as -138.2, not as 0.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Bool, Carry, Float, Params, PyTree, Shape
from seqjax.core import driver
from seqjax.core.call import Call, Options
from seqjax.core.cell import Cell
from seqjax.core.padding import fill_padding, zero_padding
from seqjax.core.start import start_carry
from seqjax.diagnostics.place import Findings, Place
from seqjax.diagnostics.pullback import scaled_vjp
from seqjax.diagnostics.scaled import Scaled, log_norm, normalize
from seqjax.errors import ArgumentError

OUTPUTS = ("last", "all")
Loss = Callable[[PyTree], Float[jax.Array, " B"]]


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

    loss: Float[jax.Array, " B"]
    joint: Float[jax.Array, " B T+1"]
    parts: dict[str, Float[jax.Array, " B T"]]
    parameters: Float[jax.Array, ""]
    layers: dict[str, Float[jax.Array, " B T"]]
    inputs: Float[jax.Array, " B T"] | None


def gradient_flow(
    cell: Cell,
    params: Params,
    xs: PyTree,
    loss: Loss,
    carry: Carry = None,
    *,
    mask: Bool[Array, " B T"] | Sequence | None = None,
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

    A linear recurrence h' = h / 2 + x, whose gradient halves with every step back:

        >>> import math, jax, jax.numpy as jnp
        >>> from seqjax import RNN
        >>> from seqjax.diagnostics import gradient_flow, half_life, log_mean
        >>> from seqjax.initializers import identity
        >>> cell = RNN(1, activation="identity", recurrent_init=identity(0.5))
        >>> params = cell.init(jax.random.key(0), 1)
        >>> flow = gradient_flow(cell, params, jnp.ones((2, 5, 1)), lambda y: y[:, 0])
        >>> jnp.exp(flow.joint[0]).round(5).tolist()
        [1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]
        >>> round(half_life(log_mean(flow.joint)), 3)
        1.0
        >>> sorted(flow.layers)
        ['h', 'y']
    """
    call = driver.prepare(Call(cell, Options(), params, xs, carry, mask))
    layout = call.layout
    if outputs not in OUTPUTS:
        raise ArgumentError(f"gradient_flow: outputs must be 'last' or 'all', found {outputs!r}")
    if len(layout.batch) != 1 or layout.length == 0:
        raise ArgumentError(
            f"gradient_flow: xs must have one batch axis and at least one step, found batch {layout.batch} "
            f"and {layout.length} steps. A single sequence? Pass xs[None]"
        )
    ys = driver.execute(call)[1]
    # The loss is called here, and not within a program that is kept: what it reads may be something else next time.
    losses, seed = _seed(loss, outputs, layout.time_first(ys), _real_steps(call))
    return (_flow if call.is_inline() else _compiled)(outputs, call, losses, seed)


def _real_steps(call: Call) -> Bool[jax.Array, " T B"]:
    mask = call.real_steps()
    return jnp.ones((call.layout.length, *call.layout.batch), bool) if mask is None else jnp.asarray(mask)


def _flow(outputs: str, call: Call, losses: Float[jax.Array, " B"], seed: Scaled) -> GradientFlow:
    layout, carry, real, findings = call.layout, call.carry, _real_steps(call), Findings()
    fresh = carry is None
    if fresh:
        carry = start_carry(call.cell, call.params, layout.batch, in_features=layout.width)
    xs = fill_padding(layout.time_first(call.xs), call.real_steps(), False)
    _, pull = scaled_vjp(call.cell, call.params, carry, xs, Place(real, fresh, findings))
    dxs = pull(seed)
    parts = {name: logs[::-1].T for name, logs in findings.states.items()}
    joint = [_log_norm_of_last(outputs, seed, real)[:, None], _join_norms(list(parts.values()), real.T.shape)]
    return GradientFlow(
        loss=losses,
        joint=jnp.concatenate(joint, axis=1),
        parts=parts,
        # The loss of each row is differentiated by itself; that of their mean is 1 / B of the sum.
        parameters=_join_norms(findings.parameters, ()) - math.log(layout.batch[0]),
        layers={name: logs.T for name, logs in findings.totals.items()},
        inputs=jnp.where(real, log_norm(*dxs), jnp.nan).T if jax.tree.leaves(dxs.tree) else None,
    )


_compiled = jax.jit(_flow, static_argnums=0)


def _log_norm_of_last(outputs: str, seed: Scaled, real: Bool[jax.Array, " T B"]) -> Float[jax.Array, " B"]:
    """What arrives at the last output; with outputs="last" that is the last real one, wherever it is."""
    logs = log_norm(*seed)
    return jnp.max(logs, axis=0) if outputs == "last" else jnp.where(real[-1], logs[-1], jnp.nan)


def _seed(loss: Loss, outputs: str, ys: PyTree, real: Bool[jax.Array, " T B"]) -> tuple[Float[jax.Array, " B"], Scaled]:
    """L of each row, and its cotangents of ys `[T, B, F]`, which are zero in unreal steps."""

    def of(ys: PyTree) -> jax.Array:
        if outputs == "all":
            return loss(jax.tree.map(lambda y: jnp.moveaxis(y, 0, 1), zero_padding(ys, real)))
        return loss(jax.tree.map(lambda y: jnp.sum(y, axis=0), zero_padding(ys, _is_last(real))))

    losses, pull = jax.vjp(of, ys)
    if getattr(losses, "shape", None) != real.shape[1:]:
        found = getattr(losses, "shape", losses)
        raise ArgumentError(f"gradient_flow: loss gave shape {found}, expected one number a row, {real.shape[1:]}")
    return losses, normalize(pull(jnp.ones_like(losses))[0], jnp.zeros(real.shape, jnp.int32))


def _is_last(real: Bool[jax.Array, " T B"]) -> Bool[jax.Array, " T B"]:
    """True at the last real step of each row."""
    return real & (jnp.cumsum(real[::-1], axis=0)[::-1] == 1)


def _join_norms(logs: list[jax.Array], shape: Shape) -> Float[jax.Array, "..."]:
    """The log norm of vectors side by side, of the given shape; NaN entries stay NaN."""
    if not logs:
        return jnp.full(shape, -jnp.inf)
    both = jnp.stack(logs)
    top = jnp.max(both, axis=0)
    safe = jnp.where(jnp.isfinite(top), top, 0)
    return safe + 0.5 * jnp.log(jnp.sum(jnp.exp(2 * (both - safe[None])), axis=0))


def log_mean(logs: Float[Array, "..."], axis: int = 0) -> Float[np.ndarray, "..."]:
    """The logarithm of the mean of norms given as logarithms, NaN entries left out.

    >>> import numpy as np
    >>> from seqjax.diagnostics import log_mean
    >>> logs = np.log([[1.0, 4.0], [3.0, np.nan]])
    >>> np.exp(log_mean(logs)).round(6).tolist()
    [2.0, 4.0]
    >>> log_mean(np.array([-1000.0, -1000.0])).item()  # far below the smallest float
    -1000.0
    """
    logs = np.asarray(logs, np.float64)
    count = np.sum(~np.isnan(logs), axis=axis)
    logs = np.where(np.isnan(logs), -np.inf, logs)
    largest = np.max(logs, axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.log(np.sum(np.exp(logs - largest), axis=axis))
        return np.where(count > 0, total + np.squeeze(largest, axis) - np.log(count), np.nan)


def half_life(logs: Float[Array, "..."]) -> float:
    """Steps in which a norm halves, from the least-squares slope of its logarithm over distance.

    inf where it neither falls nor grows; negative where it grows, the steps in which it doubles; NaN where fewer
    than two entries are finite.

        >>> import numpy as np
        >>> from seqjax.diagnostics import half_life
        >>> round(half_life(np.log([8.0, 4.0, 2.0, 1.0])), 6), round(half_life(np.log([1.0, 4.0])), 6)
        (1.0, -0.5)

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
    return math.inf if abs(slope) < 1e-12 else float(-math.log(2) / slope)
