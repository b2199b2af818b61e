"""The loop with deferred weight gradients: products over time for all weights at once, after the loop.

Axes: `T` time, `B` batch (any number of axes, also none). Everything here is time-major, `[T, B, ...]`,
the layout of `jax.lax.scan`; `seqjax.scan` is the batch-major public face.

Deferred gradients. With `before_t` the carry that step t starts from, a `Recurrent` cell is

    z_t = project(p, x_t);    m_t = mix(q, before_t);    carry_t, y_t = update(u, before_t, z_t, m_t)

so that its tangent obeys a linear recurrence in the carry's tangent alone, driven by terms (of dp, dq, du)
that need no loop because all `before_t` are known. `_chain` states just that as a `custom_jvp`; the transpose
JAX derives from it takes every weight gradient as one matrix product over the whole chunk, after the loop.
Being a plain JAX program it has all orders and both modes of differentiation.

Measured on 2 CPU cores, LSTM, B 16, T 512, D = F = 256 (2026-11-22): letting dz and dm enter the tangent loop, so that
its transpose stacks the gates' cotangents, took 471 ms a step against 536 ms for a second elementwise pass after the
loop; chunks of 32 steps took 456 ms, of 64 487 ms, of 128 542 ms; and one chunk without recomputation is slower than
four with it at T = 128.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from seqjax.plan import Plan, note
from seqjax.trees import cast_floats, cast_like, out_dtype, select

CHUNK = 32  # steps whose projections, and in the backward pass whose gates, exist at one time
_SAVED = "seqjax_carries"
_saved_only = jax.checkpoint_policies.save_only_these_names(_SAVED)


def deferred(carry: Any, inputs: Any, cell: Any, shared: Any, plan: Plan) -> tuple[Any, Any]:
    """The fold of a `Recurrent` cell in chunks; inputs are xs, mask and resets, each `[T, B, ...]` or None."""
    params, _ = shared
    length = jax.tree.leaves(inputs)[0].shape[0]

    def chunk(carry: Any, inputs: Any) -> tuple[Any, Any]:
        xs, mask, resets, _ = inputs
        z = cell.project(params.get("project", {}), xs)
        fresh = None
        if resets is not None:
            fresh = cast_like(cell.restart(params, carry, resets.shape[1:]), carry)
        how = (plan.reverse, plan.unroll, out_dtype(params, xs))
        mix, update = params.get("mix", {}), params.get("update", {})
        return _chain(cell, how, mix, update, fresh, carry, z, mask, resets)

    size = chunk_length(length)
    note(f"{cell!r}: loop over time, deferred gradient in chunks of {size}")
    if length == size:
        carry, ys = chunk(carry, inputs)
        return carry, (ys, {})
    kept = jax.checkpoint(chunk, policy=_saved_only, prevent_cse=False)
    carry, ys = chunked(kept, carry, inputs, size, plan.reverse)
    return carry, (ys, {})


def chunk_length(length: int) -> int:
    """Steps a chunk: all of a short sequence, else a divisor of the length near CHUNK if there is one."""
    if length <= 2 * CHUNK:
        return length
    sizes = [k for k in range(CHUNK // 2, 2 * CHUNK + 1) if length % k == 0]
    return min(sizes, key=lambda k: abs(k - CHUNK), default=CHUNK)


def chunked(run: Callable, carry: Any, inputs: Any, size: int, reverse: bool) -> tuple[Any, Any]:
    """Scan `run(carry, inputs[K, ...])` over chunks of `size` steps; the odd rest lies at the end of time."""
    length = jax.tree.leaves(inputs)[0].shape[0]
    count, rest = divmod(length, size)
    head = jax.tree.map(lambda a: a[: count * size].reshape((count, size) + a.shape[1:]), inputs)
    tail = jax.tree.map(lambda a: a[count * size :], inputs)
    ys_tail = None
    if rest and reverse:
        carry, ys_tail = run(carry, tail)
    carry, ys = lax.scan(run, carry, head, reverse=reverse)
    ys = jax.tree.map(lambda a: a.reshape((count * size,) + a.shape[2:]), ys)
    if rest and not reverse:
        carry, ys_tail = run(carry, tail)
    if rest:
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, ys_tail)
    return carry, ys


def advance(cell: Any, dtype: Any, p: Any, carry: Any, z: Any, m: Any) -> tuple[Any, Any]:
    """`cell.update` with the dtypes of the law: the carry's own for the carry, `dtype` for the outputs."""
    after, y = cell.update(p, carry, z, m)
    return cast_like(after, carry), cast_floats(y, dtype)


def _forward(
    cell: Any, how: Any, mix: Any, update: Any, fresh: Any, carry: Any, z: Any, mask: Any, resets: Any
) -> tuple[Any, Any, Any]:
    reverse, unroll, dtype = how

    def body(carry: Any, inputs: Any) -> tuple[Any, Any]:
        z, mask, reset = inputs
        before = carry if reset is None else select(reset, fresh, carry)
        after, y = advance(cell, dtype, update, before, z, cell.mix(mix, before))
        return select(mask, after, before), (y, before)

    carry, (ys, befores) = lax.scan(body, carry, (z, mask, resets), reverse=reverse, unroll=unroll)
    return carry, ys, befores


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _chain(cell, how, mix, update, fresh, carry, z, mask, resets):  # type: ignore[no-untyped-def]
    carry, ys, _ = _forward(cell, how, mix, update, fresh, carry, z, mask, resets)
    return carry, ys


@_chain.defjvp
def _chain_jvp(cell, how, primals, tangents):  # type: ignore[no-untyped-def]
    mix, update, fresh, _, z, mask, resets = primals
    dmix, dupdate, dfresh, dcarry, dz, _, _ = tangents
    reverse, unroll, dtype = how
    last, ys, befores = _forward(cell, how, *primals)
    befores = checkpoint_name(befores, _SAVED)
    step = partial(advance, cell, dtype)

    # Everything that does not wait for the carry's tangent, for all steps at once.
    ms, dms = jax.jvp(lambda q: cell.mix(q, befores), (mix,), (dmix,))
    linear = jax.vmap(lambda c, z, m: jax.linearize(lambda c, z, m: step(update, c, z, m), c, z, m)[1])(befores, z, ms)
    # Small parameters inside `update`, where a cell has any, drive the tangent too.
    driven = jax.jvp(lambda u: step(u, befores, z, ms), (update,), (dupdate,))[1] if jax.tree.leaves(update) else None

    def body(dcarry: Any, inputs: Any) -> tuple[Any, Any]:
        linear, dz, driven, dms, before, mask, reset = inputs
        dbefore = dcarry if reset is None else select(reset, dfresh, dcarry)
        _, dm = jax.jvp(lambda c: cell.mix(mix, c), (before,), (dbefore,))
        dafter, dy = linear(dbefore, dz, jax.tree.map(jnp.add, dm, dms))
        if driven is not None:
            dafter, dy = jax.tree.map(jnp.add, (dafter, dy), driven)
        return select(mask, dafter, dbefore), dy

    inputs = (linear, dz, driven, dms, befores, mask, resets)
    dlast, dys = lax.scan(body, dcarry, inputs, reverse=reverse, unroll=unroll)
    return (last, ys), (dlast, dys)
