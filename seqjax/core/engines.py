"""The one place where it is decided which engine carries a recurrence through time.

    scan          a loop over time
    associative   in blocks that are composed, for cells that are `diagonal`
    newton        all steps at once, by Newton's method; never taken by itself
    cudnn         one kernel of NVIDIA's, for an LSTM on a GPU; never taken by itself

"auto" takes the faster one of the first two. An engine that was asked for by name runs, or an error says why it cannot.
"""

from typing import Any

import jax

from seqjax._internal.types import Carry, Pair, Params, PyTree
from seqjax.core import taps
from seqjax.core.affine import run_affine
from seqjax.core.chunks import chunk_length, count_rows
from seqjax.core.cudnn import run_cudnn
from seqjax.core.explanation import add_line
from seqjax.core.linear_scan import BLOCK
from seqjax.core.loop import count_steps, restart_reads_carry, run_loop
from seqjax.core.newton_run import is_newton, run_newton
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError

ENGINES = ("auto", "scan", "associative", "newton", "cudnn")
ONE_CHUNK = 2**21  # bytes of all states, up to which a linear recurrence is one chunk (see `seqjax.core.affine`)


def run_cell(cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan) -> Pair:
    """All steps of a cell that has a recurrence, xs `[T, B, ...]`; `explain` tells which engine ran, and why.

    Raises:
        ArgumentError: the engine that was asked for by name cannot run this cell.
    """
    if is_newton(plan):
        return (run_newton if count_steps(xs) else run_loop)(cell, params, carry, xs, plan)
    if plan.engine == "cudnn":
        return run_cudnn(cell, params, carry, xs, plan)
    why = _why_not_affine(cell, params, carry, plan)
    if plan.engine == "associative" and why is not None:
        raise ArgumentError(
            f"engine='associative' cannot run {cell!r}: {why}. With engine='auto' each part of a model takes the "
            "fastest engine that it has"
        )
    if why is None and taps.is_tracing():
        why = "values inside the steps are traced"
    if why is None:
        return _run_diagonal(cell, params, carry, xs, plan)
    if cell.diagonal:
        add_line(f"{cell!r}: step by step, not all at once ({why})")
    return run_loop(cell, params, carry, xs, plan)


def _run_diagonal(cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan) -> Pair:
    """In blocks where a turn of a loop is dear, as on a GPU. On CPUs one costs as little as the work in it."""
    backend = jax.default_backend()
    blocks = plan.engine == "associative" or (plan.engine == "auto" and backend != "cpu")
    why = f"faster on this {backend}" if plan.engine == "auto" else "asked for"
    autodiff = plan.gradient == "autodiff"

    def size_of(length: int) -> int:
        """Steps of a chunk of so many steps, which are a segment where there is a `checkpoint`."""
        small = length * sum(leaf.nbytes for leaf in jax.tree.leaves(carry)) <= ONE_CHUNK and plan.memory != "least"
        size = length if blocks or autodiff or small else chunk_length(length, count_rows(cell, xs), plan.memory)
        loop = f"loop over time for h' = a h + b alone, in chunks of {size}"
        how = f"associative in blocks of {BLOCK}" if blocks else loop
        add_line(f"{cell!r}: {how} ({why}){', autodiff gradient' if autodiff else ''}")
        return size

    return run_affine(cell, params, carry, xs, plan, size_of, blocks)


def _why_not_affine(cell: Any, params: Params, carry: Carry, plan: Plan) -> str | None:
    """Why a cell cannot be run by its a and b; None: it can."""
    if not cell.diagonal:
        return "it has a recurrence, but defines no affine(params, x), by which that would be linear in the carry"
    if plan.resets is not None and restart_reads_carry(cell, params, carry, plan.resets.shape[1:]):
        return "a reset reads the carry"
    return None
