"""How strongly states react to parameters: the curse of memory."""

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import select, split_inexact
from seqjax._internal.types import Array, Bool, Carry, Float, Inexact, Params, PyTree
from seqjax._internal.validation import whole_number
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.diagnostics.scaled import LOWEST, Scaled, add, log_norm, normalize
from seqjax.diagnostics.states import Steps, prepare, run
from seqjax.errors import ArgumentError


def parameter_sensitivity(
    cell: Cell,
    params: Params,
    xs: PyTree,
    carry: Carry = None,
    *,
    mask: Bool[Array, " B T"] | None = None,
    probes: int = 8,
) -> Float[jax.Array, " B T"]:
    """ln |d carry_t / d params|_F for each step t: how far all states move when all parameters do a little.

    A cell that remembers for long adds up the effect of a change of its parameters over all the steps that it
    remembers, so that the sensitivity explodes as memory grows although no gradient dL/dh_t does: the curse of memory
    (Zucchet and Orvieto 2024). `diagonal_moments` has the closed form for one linear unit.

    S_t = J_t S_(t-1) + d step_t / d params, on random directions v of the parameters: the mean of |S_t v|^2 over normal
    v is |S_t|_F^2 (Hutchinson 1990). The relative error of the norm is about 1 / sqrt(2 probes) or less. Numbers may be
    far out of the range of floats. The initial carry is held fixed.

    Cost: one run forwards, and 2 `probes` products of Jacobians and vectors in each step; memory for the carry of each
    step.

    Args:
        cell, params, xs, carry, mask: as in `jacobian_spectrum`.
        probes: how many random directions, at least 1.

    Returns:
        `[B, T]`, natural logarithms; NaN in unreal steps.

    Raises:
        ArgumentError, ArgumentTypeError, NotCausalError: as `jacobian_spectrum`; probes below 1; no parameters.

    A filter h' = a h + x, driven by ones from h = 0, has dh_t / da = 1 + 2 a + 3 a^2 + ...:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.diagnostics import parameter_sensitivity
        >>> class Filter(sj.Cell):
        ...     out_features = 1
        ...     def init(self, key, in_features, dtype=jnp.float32):
        ...         return {"a": jnp.asarray(0.5, dtype)}
        ...     def initial_carry(self, params, batch_shape=()):
        ...         return jnp.zeros((*batch_shape, 1))
        ...     def step(self, params, carry, x):
        ...         carry = params["a"] * carry + x
        ...         return carry, carry
        >>> found = parameter_sensitivity(Filter(), {"a": jnp.asarray(0.5)}, jnp.ones((1, 50, 1)), probes=400)
        >>> exact = jnp.array([0.0, 1.0, 2.0, 2.75])
        >>> bool(jnp.all(abs(jnp.exp(found[0, :4]) - exact) <= 0.1 * exact))
        True
    """
    call = prepare("parameter_sensitivity", cell, params, xs, carry, mask)
    if not split_inexact(params)[0]:
        raise ArgumentError(f"parameter_sensitivity: {cell!r} has no floating point parameters")
    probes = whole_number("probes", probes, 1)
    return (_sensitivity if call.is_inline() else _compiled)(probes, call)


def _sensitivity(probes: int, call: Call) -> Float[jax.Array, " B T"]:
    steps = run(call)
    logs = jax.vmap(lambda key: _along(steps, key))(jax.random.split(jax.random.key(0), probes))
    top = jnp.max(logs, axis=0)
    safe = jnp.where(jnp.isfinite(top), top, 0)
    mean = safe + 0.5 * jnp.log(jnp.mean(jnp.exp(2 * (logs - safe[None])), axis=0))
    return jnp.where(steps.real, mean, jnp.nan).T


_compiled = jax.jit(_sensitivity, static_argnums=0)


def _along(steps: Steps, key: jax.Array) -> Float[jax.Array, " T B"]:
    """ln |S_t v| for one random direction v of the parameters."""
    own, join = split_inexact(steps.params)
    keys = jax.random.split(key, len(own))
    way = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, own)]

    def step(moved: Scaled, inputs: PyTree) -> tuple[Scaled, jax.Array]:
        (before, x), real = inputs
        advance = lambda own: steps._replace(params=join(own)).state_after(before, x)
        direct = normalize(jax.jvp(advance, (own,), (way,))[1], jnp.zeros_like(moved.exponent))
        through = normalize(steps.linear_map(before, x)(moved.tree), moved.exponent)
        moved = select(real, add([through, direct]), moved)
        return moved, log_norm(*moved)

    rows = steps.real.shape[1]
    nothing = Scaled(jnp.zeros((rows, steps.width), steps.dtype), jnp.full(rows, LOWEST, jnp.int32))
    return lax.scan(step, nothing, ((steps.befores, steps.xs), steps.real))[1]


def diagonal_moments(
    eigenvalues: Inexact[Array, "*F"], autocorrelation: Float[Array, " K"]
) -> tuple[Float[jax.Array, "*F"], Float[jax.Array, "*F"]]:
    """E|h|^2 and E|dh / d lambda|^2 of a linear unit h' = lambda h + x in its stationary state.

    With r = |lambda|^2 and R(k) = E x_t x_(t+k) of a real input (Zucchet and Orvieto 2024, section 2):

        E|h|^2         = F / (1 - r),                            F = R(0) + 2 sum_k Re(lambda^k) R(k)
        E|dh/dlambda|^2 = (1 + r) F / (1 - r)^3 + 2 D / (1 - r)^2,   D = sum_k k Re(lambda^k) R(k)

    For white noise the first grows as 1 / (1 - r) and the second as its cube: a unit that remembers ten times as long
    has a state of ten times the power, and reacts to its parameter with a thousand times. Scaling x by sqrt(1 - r)
    takes one of the three powers away; nu in |lambda| = exp(-exp(nu)) two more, as |d lambda / d nu| is near 1 - r.

    Args:
        eigenvalues: lambda, real or complex, |lambda| < 1.
        autocorrelation: `[K]`, R(0) ... R(K - 1); zero from there on.

    Returns:
        The two, each of the shape of `eigenvalues`; inf where |lambda| is not below 1.

    Raises:
        ArgumentError: autocorrelation is not a list of numbers.

        >>> import jax.numpy as jnp
        >>> from seqjax.diagnostics import diagonal_moments
        >>> power, sensitivity = diagonal_moments(jnp.array([0.0, 0.5]), jnp.array([1.0]))  # white noise
        >>> [round(float(m[1]), 3) for m in (power, sensitivity)]  # 4 / 3 and 80 / 27
        [1.333, 2.963]
    """
    values, correlation = jnp.asarray(eigenvalues), jnp.asarray(autocorrelation)
    if correlation.ndim != 1 or not correlation.size:
        raise ArgumentError(
            f"diagonal_moments: autocorrelation must be [R(0), R(1), ...], found shape {correlation.shape}. "
            "White noise of variance 1 has [1.0]"
        )
    k = jnp.arange(1, correlation.size).reshape(-1, *(1,) * values.ndim)
    terms = jnp.real(values[None] ** k) * correlation[1:].reshape(k.shape)
    r = jnp.abs(values) ** 2
    total, slope = correlation[0] + 2 * jnp.sum(terms, axis=0), jnp.sum(k * terms, axis=0)
    safe = jnp.where(r < 1, 1 - r, 1)
    power, sensitivity = total / safe, (1 + r) * total / safe**3 + 2 * slope / safe**2
    return jnp.where(r < 1, power, jnp.inf), jnp.where(r < 1, sensitivity, jnp.inf)
