"""The loops that carry a cell through time: plain, and with deferred weight gradients.

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

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

CHUNK = 32  # steps whose projections, and in the backward pass whose gates, exist at one time
_SAVED = "seqjax_carries"
_saved_only = jax.checkpoint_policies.save_only_these_names(_SAVED)
_record: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("record", default=None)


@dataclass(frozen=True)
class Plan:
    """How a cell runs over a sequence; what each field means stands in `seqjax.scan`.

    mask, resets: bool `[T, B]` or None. Where the mask is False `xs` must already be harmless (zeros).
    """

    mask: Any = None
    resets: Any = None
    reverse: bool = False
    gradient: str = "deferred"
    checkpoint: int | str | None = None
    unroll: int = 1
    checked: bool = False


@contextlib.contextmanager
def recording() -> Iterator[list[str]]:
    """Collect a line for each path taken by the cells that run inside the block."""
    lines: list[str] = []
    token = _record.set(lines)
    try:
        yield lines
    finally:
        _record.reset(token)


def note(line: str) -> None:
    """Add a line to the record of `recording`, if there is one."""
    lines = _record.get()
    if lines is not None and line not in lines:
        lines.append(line)


def select(flag: Any, on_true: Any, on_false: Any) -> Any:
    """`where` over two trees of equal structure; `flag` has the batch axes, None means True."""
    if flag is None:
        return on_true

    def one(a: Any, b: Any) -> Any:
        return jnp.where(flag.reshape(flag.shape + (1,) * (a.ndim - flag.ndim)), a, b)

    return jax.tree.map(one, on_true, on_false)


def cast_like(tree: Any, like: Any) -> Any:
    """Give each array of `tree` the dtype of its counterpart: a carry keeps the dtype it came in."""
    return jax.tree.map(lambda a, b: a if a.dtype == b.dtype else a.astype(b.dtype), tree, like)


def cast_floats(tree: Any, dtype: Any) -> Any:
    """Cast the floating arrays of `tree`."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def run(cell: Any, params: Any, carry: Any, xs: Any, plan: Plan) -> tuple[Any, Any]:
    """Run `cell` over `xs` `[T, B, ...]`: the fold of its step, in segments when `plan.checkpoint` asks."""
    length = jax.tree.leaves(xs)[0].shape[0]
    inputs = (xs, plan.mask, boundaries(plan))
    path = _path(cell, carry, plan, length)
    if plan.checkpoint is None or length == 0:
        return path(carry, inputs, cell, params, plan)
    size = max(1, math.isqrt(length)) if plan.checkpoint == "sqrt" else int(plan.checkpoint)
    note(f"{cell!r}: recomputed in the backward pass from a carry kept every {size} steps")
    segment = jax.checkpoint(lambda c, i: path(c, i, cell, params, plan), prevent_cse=False)
    return _chunked(segment, carry, inputs, size, plan.reverse)


def boundaries(plan: Plan) -> Any:
    """The flags "start anew before this step" in the direction of travel.

    A reset at step t parts t from t-1. Read backwards, it falls before the next real step below t, however
    many unreal steps lie between.
    """
    if plan.resets is None:
        return None
    resets = plan.resets if plan.mask is None else plan.resets & plan.mask
    if not plan.reverse or resets.shape[0] == 0:
        return resets
    last = jnp.zeros_like(resets[:1])
    if plan.mask is None:
        return jnp.concatenate([resets[1:], last])
    length = resets.shape[0]
    steps = lax.broadcasted_iota(jnp.int32, resets.shape, 0)
    real = lax.cummin(jnp.where(plan.mask, steps, length), axis=0, reverse=True)
    following = jnp.concatenate([real[1:], jnp.full_like(real[:1], length)])
    flagged = jnp.take_along_axis(resets, jnp.minimum(following, length - 1), axis=0)
    return flagged & (following < length) & plan.mask


def _path(cell: Any, carry: Any, plan: Plan, length: int) -> Callable[..., tuple[Any, Any]]:
    if plan.gradient == "autodiff":
        why = "asked for"
    elif not cell.splits:
        why = "this cell has a step only; project, mix and update would allow deferred gradients"
    elif not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(carry)):
        why = "the carry holds arrays that are not floating point"
    elif length == 0:
        why = "there are no steps"
    else:
        return _deferred
    note(f"{cell!r}: loop over time, autodiff gradient ({why})")
    return _plain


def _plain(carry: Any, inputs: Any, cell: Any, params: Any, plan: Plan) -> tuple[Any, Any]:
    def body(carry: Any, inputs: Any) -> tuple[Any, Any]:
        x, mask, reset = inputs
        if reset is not None:
            fresh = cast_like(cell.restart(params, carry, reset.shape), carry)
            carry = select(reset, fresh, carry)
        after, y = cell.step(params, carry, x)
        return select(mask, cast_like(after, carry), carry), y

    return lax.scan(body, carry, inputs, reverse=plan.reverse, unroll=plan.unroll)


def _deferred(carry: Any, inputs: Any, cell: Any, params: Any, plan: Plan) -> tuple[Any, Any]:
    length = jax.tree.leaves(inputs)[0].shape[0]

    def chunk(carry: Any, inputs: Any) -> tuple[Any, Any]:
        xs, mask, resets = inputs
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
        return chunk(carry, inputs)
    kept = jax.checkpoint(chunk, policy=_saved_only, prevent_cse=False)
    return _chunked(kept, carry, inputs, size, plan.reverse)


def chunk_length(length: int) -> int:
    """Steps a chunk: all of a short sequence, else a divisor of the length near CHUNK if there is one."""
    if length <= 2 * CHUNK:
        return length
    sizes = [k for k in range(CHUNK // 2, 2 * CHUNK + 1) if length % k == 0]
    return min(sizes, key=lambda k: abs(k - CHUNK), default=CHUNK)


def _chunked(run: Callable, carry: Any, inputs: Any, size: int, reverse: bool) -> tuple[Any, Any]:
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


def out_dtype(params: Any, x: Any) -> Any:
    """The dtype of a cell's outputs: that of its parameters and inputs, promoted."""
    leaves = jax.tree.leaves((params, x))
    floats = [leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.result_type(*floats) if floats else jnp.result_type(float)


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
