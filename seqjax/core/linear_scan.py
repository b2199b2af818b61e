"""The states of a recurrence that is linear in its carry: h_t = a_t h_{t-1} + b_t, elementwise.

Axes: `T` time, `B` batch (any number of axes, also none). Everything here is time-major, `[T, B, ...]`.

In a loop, T turns of one product and one sum. Or in blocks, as steps compose,

    (a_2, b_2) after (a_1, b_1)  =  (a_2 a_1, a_2 b_1 + b_2),

and the order in which they are composed is free (but for products of a beyond the range of floats: a recurrence that
grows, |a| > 1, may be inf or NaN in blocks of many steps where the loop is finite, as inf times a state of 0). T
steps are cut into T / K blocks of K. All blocks side by side, each becomes one step, in K turns; the T / K steps that
this makes give the state before each block, by the same means; and from these K turns, again side by side, give all
states. That is about 2 K log T / log K turns instead of T, of three times the work.

The derivative is a recurrence of the same kind,

    dh_t = a_t dh_{t-1} + (da_t h_{t-1} + db_t),

so that the backward pass keeps a and h alone, and is one such recurrence read backwards.

What blocks cost where a turn costs nothing: CPU time of the gradient in a, b and h, temporary memory and CPU time of
compilation, on one busy core (F = 128, float32, jax 0.10.2, least of 11 turns, 2026-11-29). Left to JAX, the derivative
of blocks takes 1.3-1.4 of the time of a whole training step and 1.6 of its memory.

    B, T           loop            K = 16           32               64               128              256
    1, 4096     2.7 ms  2 MiB   4.1 ms  8 MiB   3.4 ms  8 MiB   3.1 ms  8 MiB   3.0 ms  8 MiB   2.9 ms  8 MiB
    32, 512     7.6     8      34      33      38      33      36      32      36      32        -
    compiling   0.4 s           1.6 s           1.2 s           0.7 s           0.7 s           0.8 s

So 64, from where on longer blocks give nothing, though they take more turns.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.trees import is_inexact, select
from seqjax._internal.types import Array, Bool, Num, Pair, Shaped

BLOCK = 64  # steps


def linear_scan(
    a: Num[jax.Array, " T *BF"],
    b: Num[jax.Array, " T *BF"],
    h: Num[jax.Array, "*BF"],
    starts: Bool[Array, " T *B"] | None = None,
    *,
    blocks: bool = False,
    autodiff: bool = False,
) -> Num[jax.Array, " T *BF"]:
    """All states h_t, from the state h before the first step.

    Args:
        a, b: of one dtype with h.
        starts: where nothing passes from the step before, whatever a is: h_t = b_t.
        blocks: in blocks of `BLOCK` steps, instead of step by step.
        autodiff: leave the derivative to JAX, as is done for whole numbers.

    One half of what was there, and one more, for three steps:

        >>> import jax.numpy as jnp
        >>> from seqjax.core.linear_scan import linear_scan
        >>> linear_scan(jnp.full(3, 0.5), jnp.ones(3), jnp.array(4.0)).tolist()
        [3.0, 2.5, 2.25]
    """
    if autodiff or not is_inexact(b):
        return _states(a, b, h, starts, blocks)
    return _scan(blocks, starts, a, b, h)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _scan(
    blocks: bool,
    starts: Bool[Array, " T *B"] | None,
    a: Num[jax.Array, " T *BF"],
    b: Num[jax.Array, " T *BF"],
    h: Num[jax.Array, "*BF"],
) -> Num[jax.Array, " T *BF"]:
    return _states(a, b, h, starts, blocks)


@_scan.defjvp
def _scan_jvp(blocks: bool, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Pair:
    (starts, a, b, h), (_, da, db, dh) = primals, tangents
    states = _scan(blocks, starts, a, b, h)
    before = jnp.concatenate([h[None], states[:-1]])
    if starts is not None:
        before = select(starts, jnp.zeros_like(before), before)
    return states, _scan(blocks, starts, a, da * before + db, dh)


def _states(
    a: Num[jax.Array, " T *BF"],
    b: Num[jax.Array, " T *BF"],
    h: Num[jax.Array, "*BF"],
    starts: Bool[Array, " T *B"] | None,
    blocks: bool,
) -> Num[jax.Array, " T *BF"]:
    length = a.shape[0]
    if not blocks or length <= 2 * BLOCK:
        return _loop(a, b, h, starts)
    a, b, starts = _cut(a, 1), _cut(b, 0), None if starts is None else _cut(starts, False)
    a_block, b_block, any_start = _compose(a, b, starts)
    ends = _states(a_block, b_block, h, any_start, blocks)
    before = jnp.concatenate([h[None], ends[:-1]])
    states = jnp.moveaxis(_loop(a, b, before, starts), 0, 1)
    return states.reshape(-1, *h.shape)[:length]


def _loop(
    a: Num[jax.Array, " T *BF"],
    b: Num[jax.Array, " T *BF"],
    h: Num[jax.Array, "*BF"],
    starts: Bool[Array, " T *B"] | None,
) -> Num[jax.Array, " T *BF"]:
    def body(h: jax.Array, inputs: Any) -> tuple[jax.Array, jax.Array]:
        a, b, start = inputs
        h = _step(a, b, h, start)
        return h, h

    return lax.scan(body, h, (a, b, starts))[1]


def _compose(
    a: Num[jax.Array, "K M *BF"], b: Num[jax.Array, "K M *BF"], starts: Bool[Array, "K M *B"] | None
) -> tuple[Num[jax.Array, " M *BF"], Num[jax.Array, " M *BF"], Bool[Array, " M *B"] | None]:
    """One step for each of M blocks, and whether a new sequence begins in it."""

    def body(whole: tuple[jax.Array, jax.Array], inputs: Any) -> tuple[tuple[jax.Array, jax.Array], None]:
        a, b, start = inputs
        product = a * whole[0]
        if start is not None:  # an a that grows would be inf long before anything reads it, and inf times 0 NaN
            product = select(start, jnp.zeros_like(product), product)
        return (product, _step(a, b, whole[1], start)), None

    (a, b), _ = lax.scan(body, (jnp.ones_like(a[0]), jnp.zeros_like(b[0])), (a, b, starts))
    return a, b, None if starts is None else jnp.any(starts, axis=0)


def _step(
    a: Num[jax.Array, "*BF"],
    b: Num[jax.Array, "*BF"],
    h: Num[jax.Array, "*BF"],
    start: Bool[Array, "*B"] | None,
) -> Num[jax.Array, "*BF"]:
    h = a * h + b
    return h if start is None else select(start, b, h)


def _cut(x: Shaped[Array, " T *BF"], filler: complex) -> Shaped[jax.Array, "K M *BF"]:
    """`[T, ...]` in blocks, `[K, M, ...]`; steps that are missing in the last block change nothing."""
    missing = -x.shape[0] % BLOCK
    if missing:
        x = jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1), constant_values=filler)
    return jnp.moveaxis(x.reshape(-1, BLOCK, *x.shape[1:]), 1, 0)
