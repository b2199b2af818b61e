"""Long sequences in chunks: how long one is, and the scan over them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Carry, Pair, PyTree


class Bounds(NamedTuple):
    """How large chunks are: rows are steps times batch."""

    rows: int
    shortest: int  # in steps
    longest: int


LONGEST_CHUNK = 128
BOUNDS = {"auto": Bounds(512, 8, LONGEST_CHUNK), "least": Bounds(128, 4, 32)}
"""By the option `memory`. The backward pass works on 20 to 35 arrays of the size of a chunk (LSTM), so that smaller
chunks take less: with "least" 0.35 of Flax's temporary memory (GRU 0.36; geometric means of eight shapes). With chunks
as for "auto" it was 0.44 and 0.48, in 0.95 of the time; with 64 rows or 16 steps 0.34 to 0.36 (not stored)."""

Run = Callable[[Carry, PyTree], Pair]
"""(carry, inputs [T, B, ...]) -> (carry, outputs [T, B, ...])"""


def chunk_length(length: int, rows: int, memory: str = "auto") -> int:
    """Steps a chunk: all of a short sequence, else a divisor of the length near the wanted one if there is one."""
    bounds = BOUNDS[memory]
    wanted = min(max(bounds.rows // max(rows, 1), bounds.shortest), bounds.longest)
    return length if length <= 2 * wanted else near_divisor(length, wanted)


def near_divisor(length: int, wanted: int) -> int:
    """The divisor of the length that is next to `wanted`, within a factor of two; `wanted` where there is none.

    Chunks of such a length are a view of the whole, others a copy.
    """
    sizes = [k for k in range(max(wanted // 2, 1), min(2 * wanted, length) + 1) if length % k == 0]
    return min(sizes, key=lambda k: abs(k - wanted), default=wanted)


def count_rows(cell: Any, xs: PyTree) -> int:
    """The number of rows of the batch, xs `[T, B, ...]`."""
    x, axes = jax.tree.leaves(xs)[0], jax.tree.leaves(jax.tree.broadcast(cell.feature_axes, xs))[0]
    return math.prod(x.shape[1 : x.ndim - axes])


class Cut(NamedTuple):
    """A tree of arrays `[T, ...]` in chunks: `[count, size, ...]`, and the odd rest at the end of time."""

    head: PyTree
    tail: PyTree  # `[rest, ...]`; None where there is no rest


def cut(tree: PyTree, size: int) -> Cut:
    """Chunks of `size` steps."""
    count, rest = divmod(jax.tree.leaves(tree)[0].shape[0], size)
    head = jax.tree.map(lambda a: a[: count * size].reshape((count, size) + a.shape[1:]), tree)
    return Cut(head, jax.tree.map(lambda a: a[count * size :], tree) if rest else None)


def join(chunks: Cut) -> PyTree:
    """The tree of arrays `[T, ...]`."""
    head = jax.tree.map(lambda a: a.reshape((a.shape[0] * a.shape[1],) + a.shape[2:]), chunks.head)
    return head if chunks.tail is None else jax.tree.map(lambda a, b: jnp.concatenate([a, b]), head, chunks.tail)


def together(*cuts: Cut) -> Cut:
    """One whose chunks are tuples of the chunks of each."""
    return Cut(tuple(c.head for c in cuts), None if cuts[0].tail is None else tuple(c.tail for c in cuts))


def first(chunks: Cut) -> Cut:
    """Of chunks that are tuples, their first parts."""
    return Cut(chunks.head[0], None if chunks.tail is None else chunks.tail[0])


def scan_cut(run: Run, carry: Carry, inputs: Cut, reverse: bool) -> tuple[Carry, Cut]:
    """Scan `run(carry, inputs[K, ...])` over chunks. Read backwards, the rest comes first."""
    tail = None
    if inputs.tail is not None and reverse:
        carry, tail = run(carry, inputs.tail)
    carry, head = lax.scan(run, carry, inputs.head, reverse=reverse)
    if inputs.tail is not None and not reverse:
        carry, tail = run(carry, inputs.tail)
    return carry, Cut(head, tail)


def scan_chunks(run: Run, carry: Carry, inputs: PyTree, size: int, reverse: bool) -> Pair:
    """`scan_cut` of arrays `[T, ...]`, whose outputs are such again."""
    carry, outputs = scan_cut(run, carry, cut(inputs, size), reverse)
    return carry, join(outputs)
