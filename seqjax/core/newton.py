"""Any recurrence in parallel over time, by Newton's method, with a report of how well it went."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Bool, Carry, Float, Int, Params, PyTree
from seqjax._internal.validation import is_count, true_or_false
from seqjax.core import driver
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.core.newton_run import Report, collect_reports
from seqjax.core.plan import Newton
from seqjax.errors import ArgumentError

JACOBIANS = ("dense", "diagonal")


class Solution(NamedTuple):
    """What `newton` gives."""

    carry: Carry
    ys: PyTree
    converged: Bool[Array, "*B"]
    residual: Float[Array, "*B"]
    iterations: Int[Array, ""]


def newton(
    cell: Cell,
    params: Params,
    xs: PyTree,
    carry: Carry = None,
    *,
    jacobian: str = "dense",
    iterations: int = 100,
    fallback: bool = False,
    **options: Any,
) -> Solution:
    """Run a cell over whole sequences as `scan` does, all steps at once by Newton's method, and report how it went.

    `scan(..., engine="newton")` is this without the report. The states of a recurrence solve h_t = f(h_(t-1), x_t)
    for t = 1 ... T. From a guess (the first carry everywhere) each iteration linearises all steps and solves what comes
    out, a linear recurrence, in parallel:

        h_t <- h_t + d_t,     d_t = J_t d_(t-1) + f(h_(t-1), x_t) - h_t,     J_t = df/dh (h_(t-1), x_t)

    "dense" is DEER (Lim et al. 2024, arXiv 2309.12252): few iterations, each O(T n^3) work for a carry of n numbers
    (F of a GRU, 2 F of an LSTM) in 3 sqrt(T) turns of a loop. "diagonal" keeps the diagonal of J alone,
    quasi-DEER (Gonzalez et al. 2024, arXiv 2407.19115): O(T n^2) work, more iterations. States that overflow on the way
    are set back to the guess.

    It pays where there are many cores, small states and a recurrence that forgets; on one core the loop is faster
    nearly everywhere. A network that expands differences takes up to T iterations.

    Gradients are those of the solution, of all orders, by the implicit function theorem: dh_t = J_t dh_(t-1) + the
    derivative of f along parameters and x_t, with the dense J, in parallel too. With a diagonal Jacobian that is a loop
    over time, as quasi-DEER is there to keep no J. Memory is O(T n), and O(sqrt(T) n^2) with the dense J, of which one
    step in each of sqrt(T) pieces of the sequence is there at a time.

    Args:
        cell, params, xs, carry: as in `scan`. Each recurrence of a stack is solved on its own, layer by layer; layers
            without one run as they do in `scan`.
        jacobian: "dense" or "diagonal".
        iterations: at most so many.
        fallback: compute rows that have not converged by a loop over time, instead of NaN.
        options: of `scan`: mask, lengths, resets, reverse, time_major, checkpoint (solves segment by segment), checked.

    Returns:
        The last carry, ys, and of each row whether it has `converged`: max_t |h_t - f(h_(t-1), x_t)| / max(1, |f|), its
        `residual`, is at most 64 eps (8e-6 in float32, 1e-14 in float64; in bfloat16 4 eps, 0.03). The states differ
        from those of the loop by as much times what the recurrence makes of a difference. carry and ys of other rows
        are NaN (with `fallback` they are the loop's), and with `checked=True` an error of checkify. `iterations` are
        the most that a layer or segment took.

    Raises:
        ArgumentError, ArgumentTypeError: as `scan`; a recurrence whose carry or output holds whole numbers or keys; a
            layer inside a loop of another cell, as of `repeat`.

    A contracting network over 1,000 steps, in a few iterations:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.GRU(4)
        >>> params = cell.init(jax.random.key(0), 3)
        >>> xs = jax.random.normal(jax.random.key(1), (2, 1000, 3))
        >>> found = sj.newton(cell, params, xs)
        >>> found.converged.tolist(), int(found.iterations) < 10
        ([True, True], True)
        >>> carry, ys = sj.scan(cell, params, xs)
        >>> bool(jnp.max(jnp.abs(found.ys - ys)) < 1e-5)
        True
    """
    if "engine" in options:
        raise ArgumentError(f"newton has no engine: it is one, found engine={options['engine']!r}")
    if jacobian not in JACOBIANS:
        raise ArgumentError(f"jacobian must be one of {', '.join(JACOBIANS)}, found {jacobian!r}")
    if not is_count(iterations):
        raise ArgumentError(f"iterations must be a whole number above 0, found {iterations!r}")
    settings = Newton(jacobian, iterations, true_or_false("fallback", fallback))
    call = Call.of(cell, params, xs, carry, {**options, "engine": settings})
    call = driver.prepare(call)
    return _run(call) if call.is_inline() else _compiled(call)


def _run(call: Call) -> Solution:
    with collect_reports() as reports:
        carry, ys = driver.run(call)
    batch = call.layout.batch
    nothing = Report(jnp.zeros(batch), jnp.ones(batch, bool), jnp.int32(0))
    report = reduce(_join, reports) if reports else nothing
    return Solution(carry, ys, report.solved, report.residual, report.iterations)


def _join(a: Report, b: Report) -> Report:
    residual = jnp.maximum(a.residual, b.residual.astype(a.residual.dtype))
    return Report(residual, a.solved & b.solved, jnp.maximum(a.iterations, b.iterations))


_compiled = jax.jit(_run)
