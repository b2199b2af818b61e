"""How much gradient reaches back: norms of dL/dh_t for every t, in one backward pass, as logarithms.

Float32 gradients vanish at 1e-45 and overflow at 3e38, long before a study of vanishing and exploding ends. So
the backward pass here carries a unit vector and the logarithm of its length: 1e-60 comes out as -138.2, not as 0.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax import checks, driver
from seqjax.cell import Cell, Params, check_causal, initial_carry
from seqjax.errors import ArgumentError
from seqjax.expected import check_params
from seqjax.trees import cast_like, select, split_inexact


class GradientFlow(NamedTuple):
    """Natural logarithms of gradient norms; -inf is a gradient of exactly zero, NaN a step that is not real.

    loss: `[B]`, L at the last real step.
    joint: `[B, T + 1]` by distance k. k = 0: the norm of dL/dy_T, what arrives at the last output (for a cell
        whose output is its state h, dL/dh_T). k > 0: the norm of dL/d carry after step T - k, all its parts
        together; k = T is the initial carry.
    parts: the same for each part of the carry alone, by name ("c", "h", "[1].h"; "" for a lone one), from k = 1.
    parameters: the norm of the gradient of the mean of L over the batch in the cell's parameters, one number.
    """

    loss: jax.Array
    joint: jax.Array
    parts: dict[str, jax.Array]
    parameters: jax.Array


def gradient_flow(
    cell: Cell,
    params: Params,
    xs: Any,
    loss: Callable[[jax.Array], jax.Array],
    carry: Any = None,
    *,
    mask: Any = None,
) -> GradientFlow:
    """Norms of the gradient of the last step's loss in every carry before it (Pascanu, Mikolov, Bengio 2013).

    lambda_(t-1) = J_t^T lambda_t with J_t the Jacobian of `cell.step` in the carry; examples are independent.

    Args:
        cell: a causal cell or stack.
        params, xs, carry, mask: as in `seqjax.scan`, with one batch axis, xs `[B, T, D]`. Pad on the left
            (mask False) to measure many lengths with one compilation.
        loss: L of the last output, `[B, F]` -> `[B]`, each row of its own.

    Raises:
        NotCausalError, ArgumentError: the cell has no step; there is not one batch axis, or no step.
    """
    check_causal(cell)
    checks.options(cell, params, driver.Options())
    shape = checks.sequence_shape(cell, checks.arrays("xs", xs), False)
    check_params(cell, params, xs, shape)
    if len(shape.batch) != 1 or shape.length == 0:
        raise ArgumentError(
            f"gradient_flow: xs must have one batch axis and at least one step, found batch {shape.batch} "
            f"and {shape.length} steps. A single sequence? Pass xs[None]"
        )
    real: Any = np.ones((shape.length, *shape.batch), bool)
    if mask is not None:
        real = shape.time_first(jnp.asarray(checks.mask(cell, mask, shape)))
    if carry is None:
        carry = initial_carry(cell, params, shape.batch, in_features=shape.width)
    xs = shape.leaves_time_first(xs)
    xs = select(real, xs, jax.tree.map(jnp.zeros_like, xs))
    befores, y = _forward(cell, params, carry, xs, real)
    losses, pull = jax.vjp(loss, y)
    if losses.shape != shape.batch:
        raise ArgumentError(f"gradient_flow: loss gave shape {losses.shape}, expected one number a row, {shape.batch}")
    seed = pull(jnp.ones_like(losses))[0]
    arriving, joint, parts = _backward(cell, params, befores, xs, real, seed)
    start = jnp.log(_norms([seed])[1])
    names = [_name(path) for path, leaf in jax.tree_util.tree_leaves_with_path(carry)
             if jnp.issubdtype(leaf.dtype, jnp.floating)]  # fmt: skip
    return GradientFlow(
        loss=losses,
        joint=jnp.concatenate([start[None], joint[::-1]]).T,
        parts={name: part[::-1].T for name, part in zip(names, parts)},
        parameters=_parameter_norm(cell, params, befores, xs, real, arriving) - math.log(shape.batch[0]),
    )


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).lstrip(".")


def _forward(cell: Cell, params: Params, carry: Any, xs: Any, real: Any) -> tuple[Any, jax.Array]:
    """The carries before each step, and the output at each row's last real step."""

    def advance(state: Any, x: Any, real: Any) -> Any:
        carry, y = state
        after, new = cell.step(params, carry, x)
        return select(real, cast_like(after, carry), carry), select(real, new, y)

    def body(state: Any, inputs: Any) -> tuple[Any, Any]:
        x, real = inputs
        return lax.cond(jnp.any(real), advance, lambda state, *_: state, state, x, real), state[0]

    x0 = jax.tree.map(lambda x: x[0], xs)
    y = jax.eval_shape(cell.step, params, carry, x0)[1]
    if not hasattr(y, "shape"):
        raise ArgumentError(f"gradient_flow: {cell!r} gives a tree of outputs, expected one array")
    (_, y), befores = lax.scan(body, (carry, jnp.zeros(y.shape, y.dtype)), (xs, real))
    return befores, y


class _Scaled(NamedTuple):
    """Cotangents as unit vectors (of the carry's floats and of y, per example) times exp(scale)."""

    carry: list[jax.Array]
    y: jax.Array
    scale: jax.Array


def _backward(
    cell: Cell, params: Params, befores: Any, xs: Any, real: Any, seed: jax.Array
) -> tuple[_Scaled, jax.Array, list[jax.Array]]:
    """Per step: the cotangents that arrive after it, and the log norms that leave before it."""

    def back(state: _Scaled, before: Any, x: Any) -> _Scaled:
        floats, rebuild = split_inexact(before)

        def step(floats: list[jax.Array]) -> tuple[list[jax.Array], jax.Array]:
            after, y = cell.step(params, rebuild(floats), x)
            return split_inexact(after)[0], y

        _, pull = jax.vjp(step, floats)
        (moved,) = pull((state.carry, state.y))
        return _scaled(moved, jnp.zeros_like(state.y), state.scale)

    def body(state: _Scaled, inputs: Any) -> tuple[_Scaled, Any]:
        before, x, real = inputs
        # Steps that are padding in every row, as when many lengths share one shape, cost nothing.
        new = lax.cond(jnp.any(real), back, lambda state, *_: state, state, before, x)
        new = select(real, new, state)
        joint = jnp.where(real, new.scale, jnp.nan)
        parts = [jnp.where(real, jnp.log(_norms([part])[1]) + new.scale, jnp.nan) for part in new.carry]
        return new, (state, joint, parts)

    zeros = [jnp.zeros_like(leaf[0]) for leaf in split_inexact(befores)[0]]
    start = _scaled(zeros, seed, jnp.zeros(seed.shape[0], jnp.promote_types(seed.dtype, jnp.float32)))
    _, (arriving, joint, parts) = lax.scan(body, start, (befores, xs, real), reverse=True)
    return arriving, joint, parts


def _norms(leaves: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The largest entry and the Euclidean norm of each example's entries, safe for every float."""
    rows = [leaf.reshape(leaf.shape[0], -1) for leaf in leaves]
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(row), axis=1, initial=0.0) for row in rows]), axis=0)
    safe = jnp.where(largest > 0, largest, 1.0)
    squares = [jnp.sum((row / safe[:, None]) ** 2, axis=1) for row in rows]
    return safe, largest * jnp.sqrt(jnp.sum(jnp.stack(squares), axis=0))


def _scaled(carry: list[jax.Array], y: jax.Array, scale: jax.Array) -> _Scaled:
    _, norm = _norms([*carry, y])
    safe = jnp.where(norm > 0, norm, 1.0)

    def unit(leaf: jax.Array) -> jax.Array:
        return leaf / safe.reshape((-1,) + (1,) * (leaf.ndim - 1)).astype(leaf.dtype)

    return _Scaled([unit(leaf) for leaf in carry], unit(y), scale + jnp.log(norm))


def _parameter_norm(cell: Cell, params: Params, befores: Any, xs: Any, real: Any, arriving: _Scaled) -> jax.Array:
    """All steps at once, relative to the largest cotangent; terms e^-87 below it cannot change the sum."""
    largest = jnp.max(arriving.scale)
    largest = jnp.where(jnp.isfinite(largest), largest, 0.0)
    weight = jnp.where(real, jnp.exp(arriving.scale - largest), 0.0)

    def weighted(leaf: jax.Array) -> jax.Array:
        return leaf * weight.reshape(weight.shape + (1,) * (leaf.ndim - 2)).astype(leaf.dtype)

    def steps(params: Params) -> tuple[list[jax.Array], jax.Array]:
        after, ys = jax.vmap(cell.step, in_axes=(None, 0, 0))(params, befores, xs)
        return split_inexact(after)[0], ys

    _, pull = jax.vjp(steps, params)
    (grads,) = pull(([weighted(leaf) for leaf in arriving.carry], weighted(arriving.y)))
    leaves = [leaf.reshape(1, -1) for leaf in jax.tree.leaves(grads)]
    return jnp.log(_norms(leaves)[1][0]) + largest if leaves else jnp.asarray(-jnp.inf)


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
    """
    logs = np.asarray(logs, np.float64)
    distance = np.flatnonzero(np.isfinite(logs))
    if len(distance) < 2:
        return math.nan
    slope = np.polyfit(distance, logs[distance], 1)[0]
    return math.inf if abs(slope) < 1e-12 else -math.log(2) / slope
