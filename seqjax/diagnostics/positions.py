"""Norms of the gradient of the loss of one step in every state before it: the matrix of loss and state positions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import select
from seqjax._internal.types import Array, Carry, Float, Int, Params, PyTree
from seqjax._internal.validation import whole_number
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.diagnostics.place import Findings
from seqjax.diagnostics.scaled import LOWEST, Scaled, join_norms, log_norm
from seqjax.diagnostics.seeds import Mask, prepare, pull_of, real_steps, seed_of
from seqjax.errors import ArgumentError

Logs = Float[jax.Array, "B S T"]


class PositionFlow(NamedTuple):
    """Natural logarithms of gradient norms by loss position s; -inf is exactly zero, NaN where either is not real.

    loss: `[B, S]`, L_s. outputs: `[B, S]`, the norm of dL_s/dy_s, what the loss asks of its own output.
    joint: `[B, S, T]` by step t = 0 ... T - 1: the norm of dL_s/d carry after step t, all parts together, t = 0 being
        the initial carry; -inf from t = s on unless a layer reads backwards.
    layers: `[B, S, T]` by step t = 1 ... T, the whole derivative dL_s/dv_t in each value that a cell taps and in each
        layer's output, by path, as in `GradientFlow`: layers["h"][b, i] is row i of the matrix of dL_s/dh_t.
    inputs: `[B, S, T]` by step, dL_s/dx_t; None where inputs are token ids.
    """

    loss: Float[jax.Array, "B S"]
    outputs: Float[jax.Array, "B S"]
    joint: Logs
    layers: dict[str, Logs]
    inputs: Logs | None


def gradient_by_position(
    cell: Cell,
    params: Params,
    xs: PyTree,
    loss: Callable[[PyTree], Float[jax.Array, "B T"]],
    positions: Sequence[int],
    carry: Carry = None,
    *,
    mask: Mask | None = None,
) -> PositionFlow:
    """Norms of the gradient of the loss of chosen steps in all states: who hears whom, dL_s/dh_t.

    `gradient_flow` of a loss over all steps sums what each asks, so that a gradient that comes from far is hidden by
    those from near. Here each loss is taken alone: a row of the matrix that falls away from its diagonal t = s says
    that step s learns nothing from there.

    Cost: a run forwards for all, and a pass backwards over T steps for each position, one after the other in one
    program, the same for other positions. Memory is that of `gradient_flow`, and S T numbers a value; no T^2.

    Args:
        cell, params, xs, carry, mask: as in `gradient_flow`.
        loss: of all outputs `[B, T, F]`, L of each step `[B, T]`, each a function of that step's output alone.
        positions: S steps, counted from 0, or from the end with negative numbers as in a list.

    Raises:
        ArgumentError, ArgumentTypeError: no positions, or some beyond the steps; as `gradient_flow`.

    h' = h / 2 + x, so that dL_s/dh_t = 2^-(s - t):

        >>> import jax, jax.numpy as jnp
        >>> from seqjax import RNN
        >>> from seqjax.diagnostics import gradient_by_position
        >>> from seqjax.initializers import identity
        >>> cell = RNN(1, activation="identity", recurrent_init=identity(0.5))
        >>> params = cell.init(jax.random.key(0), 1)
        >>> flow = gradient_by_position(cell, params, jnp.ones((1, 4, 1)), lambda ys: ys[..., 0], [1, -1])
        >>> jnp.exp(flow.layers["h"][0]).round(3).tolist()
        [[0.5, 1.0, 0.0, 0.0], [0.125, 0.25, 0.5, 1.0]]
    """
    name = "gradient_by_position"
    call = prepare(name, cell, params, xs, carry, mask)
    chosen = jnp.asarray(_steps_of(positions, call.layout.length), jnp.int32)
    losses, seed = seed_of(name, loss, "each", call)
    found = (_flow if call.is_inline() else _compiled)(call, losses, seed, chosen)
    return jax.tree.map(lambda logs: jnp.moveaxis(logs, -1, 0), found)


def _steps_of(positions: Sequence[int], length: int) -> list[int]:
    least = [whole_number("positions", s, -length) for s in positions]
    if not least or max(least) >= length:
        raise ArgumentError(
            f"gradient_by_position: positions must be steps in 0 ... {length - 1}, or negative from the end, "
            f"found {list(positions)}"
        )
    return [s % length for s in least]


def _flow(call: Call, losses: Float[jax.Array, "B T"], seed: Scaled, chosen: Int[Array, " S"]) -> PositionFlow:
    """Rows last."""
    real, findings, start = real_steps(call), Findings(), jnp.arange(call.layout.length)
    pull = pull_of(call, findings)

    def one(s: Int[jax.Array, ""]) -> PositionFlow:
        findings.clear()
        now = jnp.broadcast_to((start == s)[:, None], real.shape)
        tree = select(now, seed.tree, jax.tree.map(jnp.zeros_like, seed.tree))
        dxs = pull(Scaled(tree, jnp.where(now, seed.exponent, LOWEST)))
        inputs = jnp.where(real, log_norm(*dxs), jnp.nan) if jax.tree.leaves(dxs.tree) else None
        joint = join_norms(list(findings.states.values()), real.shape)
        found = PositionFlow(losses[:, s], log_norm(*seed)[s], joint, dict(findings.totals), inputs)
        return jax.tree.map(lambda logs: jnp.where(real[s], logs, jnp.nan), found)

    return lax.map(one, chosen)


_compiled = jax.jit(_flow)
