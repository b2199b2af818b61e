"""Long sequences in chunks: how long one is, and the scan over them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Carry, Pair, PyTree

CHUNK_ROWS = 512  # rows, steps times batch, that a chunk is to have
SHORTEST_CHUNK, LONGEST_CHUNK = 8, 128  # in steps

Run = Callable[[Carry, PyTree], Pair]
"""(carry, inputs [T, B, ...]) -> (carry, outputs [T, B, ...])"""


def chunk_length(length: int, rows: int) -> int:
    """Steps a chunk: all of a short sequence, else a divisor of the length near the wanted one if there is one."""
    wanted = min(max(CHUNK_ROWS // max(rows, 1), SHORTEST_CHUNK), LONGEST_CHUNK)
    if length <= 2 * wanted:
        return length
    sizes = [k for k in range(wanted // 2, 2 * wanted + 1) if length % k == 0]
    return min(sizes, key=lambda k: abs(k - wanted), default=wanted)


def scan_chunks(run: Run, carry: Carry, inputs: PyTree, size: int, reverse: bool) -> Pair:
    """Scan `run(carry, inputs[K, ...])` over chunks of `size` steps; the odd rest lies at the end of time.

    Read backwards, the rest therefore comes first.
    """
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
