"""Singular values of products of Jacobians: what a cell keeps, loses and magnifies over time, in every direction."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import select
from seqjax._internal.types import Array, Bool, Carry, Float, Params, PyTree
from seqjax._internal.validation import whole_number
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.diagnostics.graded import Graded, identity, log_singular_values, multiply
from seqjax.diagnostics.scaled import Scaled, log_norm, normalize
from seqjax.diagnostics.segments import Segments
from seqjax.diagnostics.states import Steps, prepare, run
from seqjax.errors import ArgumentError


class JacobianSpectrum(NamedTuple):
    """Of d carry after step T / d carry after step T - k, for k = 0 ... T; NaN where step T - k + 1 is not real.

    logs: `[B, T + 1, n]`, natural logarithms of the singular values s_1 >= ... >= s_n; -inf is zero. A change of the
        carry, or a gradient, is multiplied by s_i over k steps in one of n directions.
    log_condition: `[B, T + 1]`, ln(s_1 / s_n): how differently the best and the worst direction are treated; 0 for an
        orthogonal product.
    stable_rank: `[B, T + 1]`, sum s_i^2 / s_1^2, from 1 to n: how many directions are passed on about as well as the
        best one.
    participation_ratio: `[B, T + 1]`, (sum s_i^2)^2 / sum s_i^4, from 1 to n: among how many directions the squared
        gain is shared.

    The last three are of all n, also where a count was asked for.
    """

    logs: Float[jax.Array, "B T+1 n"]
    log_condition: Float[jax.Array, "B T+1"]
    stable_rank: Float[jax.Array, "B T+1"]
    participation_ratio: Float[jax.Array, "B T+1"]


def jacobian_spectrum(
    cell: Cell,
    params: Params,
    xs: PyTree,
    carry: Carry = None,
    *,
    mask: Bool[Array, " B T"] | None = None,
    count: int | None = None,
) -> JacobianSpectrum:
    """Singular values of J_T J_(T-1) ... J_(T-k+1) for all k, with J_t = d carry after step t / d carry before it.

    They bound every gradient: |dL/d carry_(T-k)| lies between s_n and s_1 times |dL/d carry_T| (Pascanu, Mikolov,
    Bengio 2013). All vanish or explode exponentially in a chaotic or contracting cell, long beyond the range of floats,
    so the product is kept as a QR decomposition of graded scale (Stewart 1997; see `seqjax.diagnostics.graded`).

    Precision: small values are about as right as large ones. A step adds to the relative error of each the precision of
    floats times the condition of its own J_t, not that of the product: against exact arithmetic, logarithms in float32
    are off by 1e-6 at first and by 1e-4 after 200 steps of random matrices, down to e^-1000. What one step makes
    smaller than 8 roundings of the numbers that it adds up cannot be told from zero, and is -inf from there on.

    Cost: one run forwards; then for each step n products of J_t and a vector, two QR decompositions `[n, n]` and some
    sweeps of rotations: about n^3 T. RNN(64) over 10,000 steps, one row: 15 s of CPU time. Memory: the carry of
    each step, and sqrt(T) matrices `[B, n, n]`. For large n see `largest_singular_value`. There is no derivative in
    reverse mode: what is to be trained by takes `lyapunov_exponents`.

    Args:
        cell: any cell or stack that has a step. The state is all floating point parts of its carry in one vector of n
            numbers (c and h of an LSTM, all layers of a stack), complex ones as real and imaginary parts, so that
            their values come twice; what is `Held`, clocks and keys are left out.
        params, xs, carry, mask: as in `seqjax.scan`, with one batch axis, xs `[B, T, D]`. Unreal steps pass the carry
            on as it is.
        count: how many of the largest are returned; all n where None. It costs the same.

    Raises:
        ArgumentError, ArgumentTypeError: not one batch axis, no step, no state, count out of range; what `scan`
            refuses.
        NotCausalError: the cell reads both directions and has no step.

    A linear cell h' = h U + x with U = diag(1/2, 1/4), where s_i = U_ii^k:

        >>> import jax, jax.numpy as jnp
        >>> from seqjax import RNN
        >>> from seqjax.diagnostics import jacobian_spectrum
        >>> cell = RNN(2, activation="identity")
        >>> params = cell.init(jax.random.key(0), 1)
        >>> params["mix"]["kernel"] = jnp.diag(jnp.array([0.5, 0.25]))
        >>> spectrum = jacobian_spectrum(cell, params, jnp.ones((1, 1000, 1)))
        >>> (spectrum.logs[0, jnp.array([0, 1, 1000])] / jnp.log(2)).round(2).tolist()
        [[0.0, 0.0], [-1.0, -2.0], [-1000.0, -2000.0]]
        >>> print(spectrum.stable_rank[0, :2])
        [2.   1.25]
    """
    call = prepare("jacobian_spectrum", cell, params, xs, carry, mask)
    if count is not None:
        count = whole_number("count", count, 1)
    return (_spectrum if call.is_inline() else _compiled)(count, call)


def _spectrum(count: int | None, call: Call) -> JacobianSpectrum:
    steps = run(call)
    n = steps.width
    if count is not None and count > n:
        raise ArgumentError(f"count must be at most {n}, as many numbers as {call.cell!r} carries, found {count}")
    found = jnp.where(steps.real[..., None], _spectra(steps, n), jnp.nan)[::-1]
    logs = jnp.moveaxis(jnp.concatenate([jnp.zeros_like(found[:1]), found]), 0, 1)
    squares = jnp.exp(2 * (logs - logs[..., :1]))
    total = jnp.sum(squares, axis=-1)
    condition = logs[..., 0] - logs[..., -1]
    return JacobianSpectrum(logs[..., :count], condition, total, total**2 / jnp.sum(squares**2, axis=-1))


_compiled = jax.jit(_spectrum, static_argnums=0)


def _spectra(steps: Steps, width: int) -> Float[jax.Array, "T B n"]:
    """Of d last carry / d carry before each step, whose transpose is J_t^T ... J_T^T."""
    segments = Segments.of(steps.real.shape[0], False)
    inputs = segments.cut((steps.befores, steps.xs)), segments.cut_mask(steps.real)

    def step(product: Graded, inputs: PyTree) -> tuple[Graded, Graded]:
        (before, x), real = inputs
        jacobian = steps.jacobian(before, x)
        product = select(real, multiply(jnp.swapaxes(jacobian, -1, -2), product), product)
        return product, product

    def segment(product: Graded, inputs: PyTree) -> tuple[Graded, jax.Array]:
        product, products = lax.scan(step, product, inputs, reverse=True)
        size, rows = products.exponent.shape[:2]
        every = Graded(*(part.reshape(size * rows, *part.shape[2:]) for part in products))
        return product, log_singular_values(every).reshape(size, rows, width)

    start = identity(steps.real.shape[1], width, steps.dtype)
    return segments.join(lax.scan(segment, start, inputs, reverse=True)[1])


def largest_singular_value(
    cell: Cell,
    params: Params,
    xs: PyTree,
    carry: Carry = None,
    *,
    mask: Bool[Array, " B T"] | None = None,
    lag: int | None = None,
    iterations: int = 20,
) -> Float[jax.Array, " B"]:
    """The natural logarithm of s_1 of d carry after step T / d carry after step T - lag, for states of any size.

    Power iteration v <- P^T P v from a random vector, s_1 = |P v| / |v|, by products of Jacobians and vectors alone.
    It approaches the true value from below, and what is missing falls with (s_2 / s_1)^(4 iterations): at once for long
    products, where s_2 is far below s_1. Numbers far out of the range of floats are right.

    Cost: a run forwards, and in each iteration `lag` steps forwards and backwards; memory for the carry of each step.

    Args:
        cell, params, xs, carry, mask: as in `jacobian_spectrum`.
        lag: k, from 1 to T; T where None.
        iterations: at least 1.

    Returns:
        `[B]`.

    Raises:
        ArgumentError, ArgumentTypeError, NotCausalError: as `jacobian_spectrum`; lag or iterations out of range.

        >>> import jax, jax.numpy as jnp
        >>> from seqjax import RNN
        >>> from seqjax.diagnostics import largest_singular_value
        >>> cell = RNN(500, activation="identity")  # whose recurrent matrix is orthogonal
        >>> params = cell.init(jax.random.key(0), 1)
        >>> bool(abs(largest_singular_value(cell, params, jnp.ones((1, 30, 1)))[0]) < 1e-3)
        True
    """
    call = prepare("largest_singular_value", cell, params, xs, carry, mask)
    lag = call.layout.length if lag is None else whole_number("lag", lag, 1)
    if lag > call.layout.length:
        raise ArgumentError(f"lag must be at most {call.layout.length}, the steps of xs, found {lag}")
    iterations = whole_number("iterations", iterations, 1)
    return (_largest if call.is_inline() else _compiled_largest)(lag, iterations, call)


def _largest(lag: int, iterations: int, call: Call) -> Float[jax.Array, " B"]:
    steps = run(call)
    inputs = jax.tree.map(lambda a: a[-lag:], ((steps.befores, steps.xs), steps.real))
    shape = (call.layout.batch[0], steps.width)
    start = normalize(jax.random.normal(jax.random.key(0), shape, steps.dtype), jnp.zeros(shape[:1], jnp.int32))

    def through(move: Callable[..., jax.Array], vector: Scaled, reverse: bool) -> Scaled:
        def step(vector: Scaled, inputs: PyTree) -> tuple[Scaled, None]:
            (before, x), real = inputs
            return select(real, normalize(move(before, x, vector.tree), vector.exponent), vector), None

        return lax.scan(step, vector, inputs, reverse=reverse)[0]

    forwards = lambda before, x, vector: steps.linear_map(before, x)(vector)

    def iteration(vector: Scaled, _: None) -> tuple[Scaled, jax.Array]:
        image = through(forwards, vector, False)
        back = through(steps.pull, image._replace(exponent=jnp.zeros_like(image.exponent)), True)
        return back._replace(exponent=jnp.zeros_like(back.exponent)), log_norm(*image) - log_norm(*vector)

    return lax.scan(iteration, start, None, length=iterations)[1][-1]


_compiled_largest = jax.jit(_largest, static_argnums=(0, 1))
