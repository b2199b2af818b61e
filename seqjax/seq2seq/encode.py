"""An encoder: any cell, over a whole source."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Bool, Int, Key, Params, Shape
from seqjax.attention.memory import Memory
from seqjax.combinators.checks import returns_pair
from seqjax.core.cell import Cell, check_cell_type
from seqjax.core.scan import scan, scan_fresh
from seqjax.core.start import start_carry
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.seq2seq.rows import spread_like


def encode(
    cell: Cell,
    params: Params,
    xs: Array,
    lengths: Int[Array, "..."] | Sequence | None = None,
    *,
    mask: Bool[Array, "..."] | Sequence | None = None,
    key: Key[jax.Array, ""] | None = None,
) -> Memory:
    """What a decoder attends to: the outputs of any cell over a source.

    Args:
        cell: an RNN, a stack, `stack(Embed(V, 64), bidirectional(LSTM(64)))`, `as_cell(TransformerEncoder, ...)`. One
            with a method `encode(params, xs, mask, key=None) -> Memory`, as `as_cell(nn.EncoderDecoder, ...)` has,
            does it itself.
        params: its parameters.
        xs: `[*B, S, D]`, or ids `[*B, S]`.
        lengths: of the sources, `[*B]`: the first so many steps are real. Or:
        mask: bool `[*B, S]`, True where a step is real: padding on any side.
        key: of an encoder with dropout.

    Returns:
        A memory `[*B, S, E]`, zero and masked where the source is not real, with the ids where xs are ids.

    Raises:
        ArgumentError, ArgumentTypeError: as `scan`; a cell that needs a key and has none, or that gives pairs.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> from seqjax.seq2seq import encode
        >>> cell = sj.stack(sj.Embed(10, 3), sj.bidirectional(sj.GRU(4)))
        >>> params = cell.init(jax.random.key(0), 0)
        >>> memory = encode(cell, params, jnp.array([[3, 1, 4], [1, 5, 0]]), lengths=[3, 2])
        >>> memory.values.shape, memory.mask.tolist(), memory.tokens.tolist()
        ((2, 3, 8), [[True, True, True], [True, True, False]], [[3, 1, 4], [1, 5, 0]])
    """
    check_cell_type("encode", cell)
    if returns_pair(cell):
        raise ArgumentError(f"encode: {cell!r} gives a pair; a decoder attends to one vector a step, merge='concat'")
    batch, steps = _axes(cell, xs)
    if "memory" in cell.asks:
        ys = None
    elif cell.asks - {"in_features"}:
        carry = start_carry(cell, params, batch, key=key, in_features=xs.shape[-1])
        carry = spread_like(carry, xs, len(batch))
        _, ys = scan_fresh(cell, params, xs, carry, mask=mask, lengths=lengths)
    else:
        _, ys = scan(cell, params, xs, mask=mask, lengths=lengths)
    real = None if mask is None else jnp.asarray(mask)
    if lengths is not None:
        real = _first_steps(jnp.asarray(lengths), (*batch, steps))
    if ys is None:
        return _encode_itself(cell, params, xs, real, key)
    tokens = None
    if cell.feature_axes == 0:
        tokens = jnp.asarray(xs) if real is None else jnp.where(real, xs, 0)
    return Memory(ys, real, tokens)


def _first_steps(lengths: Int[Array, "*B"], shape: Shape) -> Bool[jax.Array, "*B S"]:
    numbers = lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
    return numbers < jnp.broadcast_to(lengths.astype(jnp.int32)[..., None], shape)


def _axes(cell: Cell, xs: Array) -> tuple[Shape, int]:
    """The batch axes of a source, and its number of steps."""
    if not hasattr(xs, "ndim"):
        raise ArgumentTypeError(f"encode: the source must be an array, found {type(xs).__name__}")
    rank = xs.ndim - (cell.feature_axes if isinstance(cell.feature_axes, int) else 1)
    if rank < 1:
        wanted = "[*B, S, D]" if cell.feature_axes else "[*B, S], as ids are"
        raise ArgumentError(f"encode: {cell!r} takes a source of shape {wanted}, found {xs.shape}")
    return xs.shape[: rank - 1], xs.shape[rank - 1]


def _encode_itself(
    cell: Cell, params: Params, xs: Array, mask: Bool[Array, "..."] | None, key: Key[jax.Array, ""] | None
) -> Memory:
    own = getattr(cell, "encode", None)
    if own is None:
        raise ArgumentError(f"encode: {cell!r} attends to a memory itself; it is a decoder, not an encoder")
    return own(params, xs, mask, key=key)
