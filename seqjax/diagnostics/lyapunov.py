"""Lyapunov exponents: at what rates the states of a cell that start near each other come together or part."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import select
from seqjax._internal.types import Array, Bool, Carry, Float, Params, PyTree
from seqjax._internal.validation import whole_number
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.diagnostics.states import Steps, prepare, run
from seqjax.errors import ArgumentError

BATCHES = 16  # means of parts of the run, whose spread tells the standard error


class LyapunovExponents(NamedTuple):
    """Of each row; see `lyapunov_exponents`.

    exponents: `[B, count]`, in nats a step, from the largest to the smallest: a difference in a direction of its own
        grows by e^exponent each step. All below 0: the cell forgets its initial state, and gradients vanish. The
        largest above 0: chaos, and gradients explode. Far apart: the Jacobians of long products are ill-conditioned.
    standard_error: `[B, count]`, of each, by batch means: the run is cut into 16 parts, and the spread of their means
        divided by 4. NaN where fewer steps than that are averaged over.
    dimension: `[B]`, that of the attractor after Kaplan and Yorke, k + (sum of the first k) / |the next one|, with k
        the most whose sum is not below 0; 0 for a fixed point. NaN where too few exponents were asked for.
    entropy: `[B]`, the sum of those above 0 in nats a step, by which nearby states become distinguishable (Pesin);
        NaN where too few were asked for.
    """

    exponents: Float[jax.Array, "B count"]
    standard_error: Float[jax.Array, "B count"]
    dimension: Float[jax.Array, " B"]
    entropy: Float[jax.Array, " B"]


def lyapunov_exponents(
    cell: Cell,
    params: Params,
    xs: PyTree,
    carry: Carry = None,
    *,
    mask: Bool[Array, " B T"] | None = None,
    count: int | None = None,
    warm_up: int | tuple[int, int] = 0,
) -> LyapunovExponents:
    """The mean logarithmic rates at which a cell stretches its state in up to n directions (Benettin et al. 1980).

        Q_t R_t = J_t Q_(t-1),    exponent_i = mean over t of ln (R_t)_ii,

    with J_t = d carry after step t / d carry before it along the run and Q_0 random and orthonormal; for recurrent
    networks Engelken, Wolf, Abbott 2023 and Vogt et al. 2022. The gradient over k steps goes as e^(k exponent_1) where
    k is large (`jacobian_spectrum` has it for every k).

    Cost: one run forwards, and in each step `count` products of J_t and a vector and a QR decomposition of
    `[n, count]`, about n^2 count T. Any precision will do, as nothing is multiplied up over time.

    Differentiable in params, xs and carry, also in reverse mode: the mean of the squared exponents is the loss of
    gradient flossing (Engelken 2023), by which a network is brought to exponents of 0 before or during its training.

    Args:
        cell, params, carry, mask: as in `jacobian_spectrum`; unreal steps count for nothing.
        xs: `[B, T, D]` of a driven cell. A free one is driven by zeros, `jnp.zeros((B, T, D))`; give it a random
            carry then, as zeros may be a fixed point that nothing else comes near.
        count: how many of the largest, from 1 to n; all n where None.
        warm_up: the first steps, which are not averaged over: in them the state reaches its attractor, and Q turns to
            its directions. A pair (a, b) is a steps of the state alone, which cost less, and b of both.

    Raises:
        ArgumentError, ArgumentTypeError: count or warm_up out of range; what `jacobian_spectrum` refuses.
        NotCausalError: the cell reads both directions and has no step.

    A linear cell has the logarithms of the absolute eigenvalues of its matrix, here 2 and 1/2:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import lyapunov_exponents
        >>> cell = sj.RNN(2, activation="identity")
        >>> params = cell.init(jax.random.key(0), 1)
        >>> params["mix"]["kernel"] = jnp.array([[2.0, 0.0], [5.0, 0.5]])
        >>> found = lyapunov_exponents(cell, params, jnp.zeros((1, 60, 1)), warm_up=40)
        >>> (found.exponents / jnp.log(2)).round(3).tolist(), found.dimension.round(3).tolist()
        ([[1.0, -1.0]], [2.0])

    Flossing:

        >>> def flossing(params, xs):
        ...     return jnp.mean(lyapunov_exponents(cell, params, xs).exponents ** 2)
        >>> grads = jax.grad(flossing)(params, jnp.zeros((1, 20, 1)))
        >>> bool(grads["mix"]["kernel"][0, 0] > 0)  # a step against it makes the larger exponent smaller
        True
    """
    call = prepare("lyapunov_exponents", cell, params, xs, carry, mask)
    skipped, turned = warm_up if isinstance(warm_up, tuple) else (0, warm_up)
    skipped, turned = whole_number("warm_up", skipped), whole_number("warm_up", turned)
    if skipped + turned >= call.layout.length:
        raise ArgumentError(
            f"warm_up must leave steps to average over, found {warm_up} of {call.layout.length} steps of xs"
        )
    count = None if count is None else whole_number("count", count, 1)
    return (_exponents if call.is_inline() else _compiled)(count, skipped, turned, call)


def _exponents(count: int | None, skipped: int, turned: int, call: Call) -> LyapunovExponents:
    steps = run(call)
    n = steps.width
    if count is not None and count > n:
        raise ArgumentError(f"count must be at most {n}, as many numbers as {call.cell!r} carries, found {count}")
    logs = _stretches(steps, count or n, skipped)[turned:]
    real = steps.real[skipped + turned :]
    total = jnp.sum(real, axis=0)[:, None]
    means = jnp.sum(logs, axis=0) / total
    error = _standard_error(logs, real)
    order = jnp.argsort(-means, axis=1)
    means, error = (jnp.take_along_axis(a, order, axis=1) for a in (means, error))
    return LyapunovExponents(means, error, _dimension(means, n), _entropy(means, n))


_compiled = jax.jit(_exponents, static_argnums=(0, 1, 2))


def _stretches(steps: Steps, count: int, skipped: int) -> Float[jax.Array, "T B count"]:
    """ln (R_t)_ii of each step after the first ones, 0 where it is not real."""
    rows = steps.real.shape[1]
    start = jax.random.normal(jax.random.key(0), (rows, steps.width, count), steps.dtype)

    def step(q: jax.Array, inputs: PyTree) -> tuple[jax.Array, jax.Array]:
        (before, x), real = inputs
        new, r = jnp.linalg.qr(steps.push(before, x, q))
        sizes = jnp.abs(jnp.diagonal(r, axis1=-2, axis2=-1))
        logs = jnp.where(sizes > 0, jnp.log(jnp.where(sizes > 0, sizes, 1)), -jnp.inf)
        return select(real, (new, logs), (q, jnp.zeros_like(logs)))

    inputs = jax.tree.map(lambda a: a[skipped:], ((steps.befores, steps.xs), steps.real))
    return lax.scan(step, jnp.linalg.qr(start)[0], inputs)[1]


def _standard_error(logs: Float[jax.Array, "T B count"], real: Bool[jax.Array, " T B"]) -> Float[jax.Array, "B count"]:
    """The spread of the means of parts of equally many real steps."""
    total = jnp.sum(real, axis=0, keepdims=True)
    part = (jnp.cumsum(real, axis=0) - 1) * BATCHES // jnp.maximum(total, 1)
    member = real[..., None] & (part[..., None] == jnp.arange(BATCHES).reshape(1, 1, BATCHES))
    sizes = jnp.sum(member, axis=0)[..., None]
    finite = jnp.where(jnp.isfinite(logs), logs, 0)
    means = jnp.einsum("tbm,tbc->bmc", member.astype(logs.dtype), finite) / jnp.maximum(sizes, 1)
    error = jnp.std(means, axis=1, ddof=1) / math.sqrt(BATCHES)
    known = (total[0] >= BATCHES)[:, None] & jnp.all(jnp.isfinite(logs), axis=0)
    return lax.stop_gradient(jnp.where(known, error, jnp.nan))


def _dimension(exponents: Float[jax.Array, "B count"], n: int) -> Float[jax.Array, " B"]:
    """k + (sum of the first k) / |exponent k + 1|."""
    sums = jnp.cumsum(exponents, axis=1)
    k = jnp.sum(jnp.cumprod(sums >= 0, axis=1), axis=1)[:, None]
    count = exponents.shape[1]
    above = jnp.where(k > 0, jnp.take_along_axis(sums, jnp.maximum(k - 1, 0), axis=1), 0)
    below = jnp.take_along_axis(exponents, jnp.minimum(k, count - 1), axis=1)
    whole = k == count
    found = k + jnp.where(whole, 0, above / jnp.where(whole, 1, jnp.abs(below)))
    return jnp.where(whole & (count < n), jnp.nan, found)[:, 0]


def _entropy(exponents: Float[jax.Array, "B count"], n: int) -> Float[jax.Array, " B"]:
    complete = exponents.shape[1] == n
    total = jnp.sum(jnp.maximum(exponents, 0), axis=1)
    return jnp.where(complete | (exponents[:, -1] <= 0), total, jnp.nan)
