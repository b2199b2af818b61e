"""A score over all steps of a sequence too long to stand in memory, read and summed piece by piece."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Carry, Int, Pair, Params, PyTree
from seqjax._internal.validation import whole_number
from seqjax.core import driver
from seqjax.core.call import Call
from seqjax.core.cell import Cell, check_cell_type
from seqjax.core.scan import scan
from seqjax.errors import ArgumentError, ArgumentTypeError

Piece = Callable[[Int[Array, ""]], tuple[PyTree, PyTree]]
Score = Callable[[PyTree, PyTree], PyTree]
NEEDS_ALL = ("mask", "lengths", "resets", "reverse", "time_major", "checked")


def scan_sum(
    cell: Cell, params: Params, piece: Piece, score: Score, count: int, carry: Carry = None, **options: Any
) -> Pair:
    """Scan a sequence of `count` pieces, and sum a score of each piece's outputs instead of stacking the outputs.

        carry_i, ys_i = scan(cell, params, xs_i, carry_(i-1)),     total = sum_i score(ys_i, targets_i)

    It is differentiated as any function, to the first step: back-propagation through time over all pieces. The
    backward pass keeps one carry a piece, and makes and runs each piece again, so that its memory is

        count c + K s,     least for K = sqrt(T c / s) steps a piece: 2 sqrt(T c s)

    with c bytes of a carry, and s of all that a step keeps. The forward pass is made twice. `checkpoint` cuts each
    piece further, for fewer and longer ones. LSTM(128) on one sequence, 1,000,000 steps in pieces of 1,000: XLA's
    temporary memory for the gradient of a loss over all steps is 6 MiB, where the outputs and their gradients alone
    take 977 (float32, jax 0.10.2 on CPU, by `memory_analysis`).

    Args:
        piece: gives piece i (int32, traced) as a pair (xs `[B, K, D]`, what the score is to know, such as targets).
            It may make them of a key (`jax.random.fold_in(key, i)`), slice an array, or read a file through
            `jax.pure_callback`; it must give the same each time.
        score: `(ys [B, K, F], what it is to know) -> a tree of arrays`, which are summed over the pieces; flags count.
        count: number of pieces.
        carry: the carry to start from, as for `scan`.
        options: of `scan`: gradient, checkpoint, unroll, memory, engine.

    Returns:
        The last carry, and the sum.

    Raises:
        ArgumentError, ArgumentTypeError: as `scan`; options of whole sequences; a cell that reads both
            directions; a piece that is no pair.

    The mean square of a running sum over 1,000,000 steps, which are never in memory:

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> cell = sj.RNN(1, activation="identity", recurrent_init=sj.initializers.identity())
        >>> params = cell.init(jax.random.key(0), 1)
        >>> params["project"]["kernel"] = jnp.ones((1, 1))
        >>> def piece(i):
        ...     return jnp.where(i == 0, 1.0, 0.0) * jnp.ones((1, 1000, 1)) / 1000, ()
        >>> def loss(params):
        ...     carry, total = sj.scan_sum(cell, params, piece, lambda ys, _: jnp.sum(ys**2), 1000)
        ...     return total / 1_000_000
        >>> print(jax.jit(loss)(params).round(4))
        0.9993
    """
    number = whole_number("count", count, 1)
    check_cell_type("scan_sum", cell)
    if not cell.causal:
        raise ArgumentError(f"scan_sum reads the sequence forwards, piece by piece, and {cell!r} reads both directions")
    for name in NEEDS_ALL:
        if options.get(name, False) is not False and options[name] is not None:
            raise ArgumentError(f"scan_sum has no {name}: it reads the sequence forwards, batch first, every step real")
    call = Call.of(cell, params, _pair_of(piece, jnp.int32(0))[0], carry, options)
    start = driver.first_carry(driver.prepare(call)) if carry is None else driver.prepare(call).carry

    def run(carry: Carry, i: Int[jax.Array, ""]) -> Pair:
        xs, given = _pair_of(piece, i)
        carry, ys = scan(cell, params, xs, carry, **options)
        return carry, jax.tree.map(_number, score(ys, given))

    again = jax.checkpoint(run, prevent_cse=False)

    def body(state: Pair, i: Int[jax.Array, ""]) -> tuple[Pair, None]:
        carry, found = again(state[0], i)
        return (carry, jax.tree.map(jnp.add, state[1], found)), None

    shapes = jax.eval_shape(run, start, jnp.int32(0))[1]
    zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
    return lax.scan(body, (start, zeros), jnp.arange(number, dtype=jnp.int32))[0]


def _number(score: jax.Array) -> jax.Array:
    """As an array; flags, whose sum would be a flag, as 0 and 1."""
    score = jnp.asarray(score)
    return score.astype(jnp.int32) if score.dtype == bool else score


def _pair_of(piece: Piece, i: Int[jax.Array, ""]) -> tuple[PyTree, PyTree]:
    found = piece(i)
    if not isinstance(found, tuple) or len(found) != 2:
        raise ArgumentTypeError(
            "piece must give a pair (xs, what the score is to know, such as targets or ()), "
            f"found {type(found).__name__}"
        )
    return found
