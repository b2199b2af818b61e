"""How much gradient reaches back: norms of dL/dh_t for every t and layer, in one backward pass, as logarithms.

Float32 gradients vanish at 1e-45 and overflow at 3e38, long before a study of vanishing and exploding ends. So
the backward pass here carries numbers near 1 and an exponent for each: 1e-60 comes out as -138.2, not as 0.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Carry, Float, Params, PyTree
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.diagnostics.place import Findings
from seqjax.diagnostics.scaled import Scaled, join_norms, log_norm
from seqjax.diagnostics.seeds import Loss, check_outputs, prepare, pull_of, real_steps, seed_of


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

    Cost: three runs forwards and one backwards, step by step. Memory: sqrt(T) carries a layer, however large, and what
    a step leaves: the outputs of each layer, their cotangents, and a number for each tap. For LSTM(64) and one row that
    is 0.9 kB a step, 89 MB for T = 100,000 (float32, jax 0.10.2 on CPU, by `memory_analysis`).

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
    check_outputs("gradient_flow", outputs)
    call = prepare("gradient_flow", cell, params, xs, carry, mask)
    losses, seed = seed_of("gradient_flow", loss, outputs, call)
    return (_flow if call.is_inline() else _compiled)(outputs, call, losses, seed)


def _flow(outputs: str, call: Call, losses: Float[jax.Array, " B"], seed: Scaled) -> GradientFlow:
    layout, real, findings = call.layout, real_steps(call), Findings()
    dxs = pull_of(call, findings)(seed)
    parts = {name: logs[::-1].T for name, logs in findings.states.items()}
    joint = [_log_norm_of_last(outputs, seed, real)[:, None], join_norms(list(parts.values()), real.T.shape)]
    return GradientFlow(
        loss=losses,
        joint=jnp.concatenate(joint, axis=1),
        parts=parts,
        # The loss of each row is differentiated by itself; that of their mean is 1 / B of the sum.
        parameters=join_norms(findings.parameters, ()) - math.log(layout.batch[0]),
        layers={name: logs.T for name, logs in findings.totals.items()},
        inputs=jnp.where(real, log_norm(*dxs), jnp.nan).T if jax.tree.leaves(dxs.tree) else None,
    )


_compiled = jax.jit(_flow, static_argnums=0)


def _log_norm_of_last(outputs: str, seed: Scaled, real: Bool[jax.Array, " T B"]) -> Float[jax.Array, " B"]:
    """What arrives at the last output; with outputs="last" that is the last real one, wherever it is."""
    logs = log_norm(*seed)
    return jnp.max(logs, axis=0) if outputs == "last" else jnp.where(real[-1], logs[-1], jnp.nan)
