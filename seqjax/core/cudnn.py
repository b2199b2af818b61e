"""NVIDIA's fused kernels of whole layers, for cells that have one; asked for by name alone.

A kernel differentiates once, in reverse, keeps what it likes for that, and knows lengths, no resets.
"""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.trees import select
from seqjax._internal.types import Array, Bool, Carry, Pair, Params, PyTree
from seqjax.core import taps
from seqjax.core.explanation import add_line
from seqjax.core.loop import count_steps, parallel
from seqjax.core.plan import Plan
from seqjax.errors import ArgumentError


def run_cudnn(cell: Any, params: Params, carry: Carry, xs: PyTree, plan: Plan) -> Pair:
    """All steps, xs `[T, B, ...]`, by `cell.cudnn(params, carry, xs, lengths)`, which is time-major too.

    Rows under a mask have their real steps moved to the front for it, in order, and what comes out moved back.

    Raises:
        ArgumentError: the kernel cannot compute this, or not here; the message has every reason.
    """
    reasons = _obstacles(cell, (params, carry, xs), plan)
    if reasons:
        raise ArgumentError(f"engine='cudnn' cannot run {cell!r}: {'; '.join(reasons)}. Run it with engine='auto'")
    add_line(f"{cell!r}: all steps in one kernel of cuDNN (asked for), whose gradient is of first order, in reverse")

    def run(carry: Carry, xs: jax.Array, mask: Bool[Array, " T *B"] | None, starts: Any) -> Pair:
        if mask is None:
            return cell.cudnn(params, carry, xs, jnp.full(xs.shape[1:-1], count_steps(xs), jnp.int32))
        count = jnp.sum(mask, axis=0, dtype=jnp.int32)
        order = jnp.argsort(~mask, axis=0, stable=True)
        # A row without a real step runs one, which is not looked at: kernels have no length of zero.
        after, ys = cell.cudnn(params, carry, _take(xs, order), jnp.maximum(count, 1))
        ys = _take(ys, jnp.argsort(order, axis=0))
        return select(count > 0, after, carry), select(mask, ys, jnp.zeros_like(ys))

    return parallel(run, carry, xs, plan)


def _take(a: jax.Array, order: jax.Array) -> jax.Array:
    return jnp.take_along_axis(a, order[..., None], axis=0)


def _obstacles(cell: Any, arrays: PyTree, plan: Plan) -> list[str]:
    # A class that changes the equations inherits the kernel, which knows nothing of that: it must be the cell's own.
    has_one = "cudnn" in vars(type(cell))
    dtypes = sorted({str(a.dtype) for a in jax.tree.leaves(arrays)} - {"float32"})
    reasons = {
        "it runs LSTM alone, and no class derived from it": not has_one,
        f"the device is {jax.default_backend()}, no GPU": jax.default_backend() not in ("gpu", "cuda"),
        f"it takes float32, found {', '.join(dtypes)}": bool(dtypes),
        "it knows no resets": plan.resets is not None,
        "gradient='autodiff' is that of a loop": plan.gradient == "autodiff",
        "what it keeps is its own, so memory='least' asks for too much": plan.memory == "least",
        "values inside the steps are traced": taps.is_tracing(),
    }
    return [reason for reason, holds in reasons.items() if holds]
