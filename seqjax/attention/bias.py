"""Biases of attention scores that are computed from positions, block by block: ALiBi, T5's, Shaw's.

Axes: `B` batch, `T` queries, `S` keys, `N` query heads, `H` head features.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import Array, Float, Int
from seqjax._internal.validation import true_or_false, whole_number
from seqjax.attention.positions import check_positions
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.layers.embed import rows_sharding


class Bias:
    """What is added to the scaled scores of queries and keys, given their positions: a pytree.

    Derive from it, and write `scores`; backends call it for blocks of queries and keys, so that it never takes
    T x S numbers unless the block is all. Gradients reach its leaves.

    A bias that prefers near keys by a learned strength:

        >>> import jax, jax.numpy as jnp
        >>> from dataclasses import dataclass
        >>> from seqjax import attention
        >>> @jax.tree_util.register_dataclass
        ... @dataclass(frozen=True)
        ... class Near(attention.Bias):
        ...     strength: jax.Array  # [N]
        ...     def scores(self, q, q_positions, k_positions):
        ...         distance = abs(q_positions[..., :, None] - k_positions[..., None, :])
        ...         return -self.strength[:, None, None] * distance[..., None, :, :]
        >>> Near(jnp.ones(1)).scores(jnp.ones((1, 1, 1)), jnp.array([2]), jnp.array([0, 1, 2])).tolist()
        [[[-2.0, -1.0, -0.0]]]
    """

    def scores(
        self, q: Float[Array, "*B T N H"], q_positions: Int[Array, "..."], k_positions: Int[Array, "..."]
    ) -> Float[jax.Array, "... N T S"]:
        """The bias `[*B, N, T, S]`, or with 1 or nothing for axes over which it is the same.

        Args:
            q: queries `[*B, T, N, H]`, already scaled.
            q_positions, k_positions: int `[*B, T]` or `[T]`, `[*B, S]` or `[S]`.
        """
        raise TypeError(f"{type(self).__name__} must define scores(q, q_positions, k_positions)")


def _differences(q_positions: Int[Array, "..."], k_positions: Int[Array, "..."]) -> Int[jax.Array, "... T S"]:
    """Key minus query."""
    check_positions("q_positions", q_positions)
    check_positions("k_positions", k_positions)
    axes = max(q_positions.ndim, k_positions.ndim)
    level = lambda a: jnp.asarray(a).reshape((1,) * (axes - a.ndim) + a.shape)
    return level(k_positions)[..., None, :] - level(q_positions)[..., :, None]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Alibi(Bias):
    heads: int = field(metadata={"static": True})

    def scores(
        self, q: Float[Array, "*B T N H"], q_positions: Int[Array, "..."], k_positions: Int[Array, "..."]
    ) -> Float[jax.Array, "... N T S"]:
        _check_heads("alibi", self.heads, q)
        distance = jnp.abs(_differences(q_positions, k_positions))[..., None, :, :]
        dtype = jnp.promote_types(q.dtype, jnp.float32)
        slopes = alibi_slopes(self.heads).reshape((1,) * (distance.ndim - 3) + (self.heads, 1, 1))
        return distance.astype(dtype) * -slopes.astype(dtype)


def _check_heads(name: str, heads: int, q: Array) -> None:
    """One head would be broadcast to all in silence."""
    if heads != q.shape[-2]:
        raise ArgumentError(f"the bias {name} is for {heads} heads, but there are {q.shape[-2]} heads of queries")


def alibi_slopes(heads: int) -> Float[np.ndarray, " N"]:
    """The slopes of `alibi`, float64.

    >>> from seqjax import attention
    >>> attention.alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    power = 2 ** int(np.log2(whole_number("heads", heads, 1)))
    geometric = lambda n: 2.0 ** (-8.0 / n * np.arange(1, n + 1))
    return np.concatenate([geometric(power), geometric(2 * power)[::2][: heads - power]])


def alibi(heads: int) -> Bias:
    """Attention with linear biases (Press et al. 2022): -slope_n |query position - key position|.

    The slopes of N = 2^m heads are 2^(-8/N), 2^(-16/N), ..., 2^-8; where N is no power of two, those of the power
    below, and then every other one of the power above, as in the authors' code.

    Raises:
        ArgumentError, ArgumentTypeError: heads is no whole number above 0.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> bias = attention.alibi(1)
        >>> bias.scores(jnp.ones((1, 1, 8)), jnp.array([2]), jnp.arange(3)).tolist()
        [[[-0.0078125, -0.00390625, -0.0]]]
    """
    return _Alibi(whole_number("heads", heads, 1))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Relative(Bias):
    table: Float[Array, "R N"]
    bidirectional: bool = field(metadata={"static": True})
    max_distance: int = field(metadata={"static": True})

    def scores(
        self, q: Float[Array, "*B T N H"], q_positions: Int[Array, "..."], k_positions: Int[Array, "..."]
    ) -> Float[jax.Array, "... N T S"]:
        _check_heads("relative", self.table.shape[1], q)
        difference = _differences(q_positions, k_positions)
        bucket = relative_buckets(difference, self.table.shape[0], self.bidirectional, self.max_distance)
        rows = jnp.asarray(self.table).at[bucket].get(mode="clip", out_sharding=rows_sharding(bucket))
        return jnp.moveaxis(rows, -1, -3)


def relative_buckets(
    difference: Int[Array, "..."], buckets: int, bidirectional: bool = True, max_distance: int = 128
) -> Int[jax.Array, "..."]:
    """The bucket of key position minus query position, as in `relative`.

    >>> import jax.numpy as jnp
    >>> from seqjax import attention
    >>> attention.relative_buckets(jnp.array([0, -3, -20, -1000, 3]), 32).tolist()
    [0, 3, 10, 15, 19]
    """
    difference = jnp.asarray(difference)
    half = buckets // 2 if bidirectional else buckets
    distance = jnp.abs(difference) if bidirectional else jnp.maximum(-difference, 0)
    near = half // 2
    # A far distance is in the bucket of the last bound that it reaches: no logarithm, whose last bit decides at bounds.
    bucket = jnp.minimum(distance, near)
    for bound in _bounds(half, max_distance):
        bucket = bucket + (distance >= bound)
    return (bucket + jnp.where(difference > 0, half, 0)) if bidirectional else bucket


def _bounds(half: int, max_distance: int) -> list[int]:
    """The distances at which a bucket after the first far one begins, by the formula of T5 in float32."""
    near = half // 2
    distance = np.arange(near, max_distance + 1)
    ratio = np.log((distance / np.float32(near)).astype(np.float32)) / np.float32(np.log(max_distance / near))
    bucket = np.minimum(near + (ratio * np.float32(half - near)).astype(np.int64), half - 1)
    return [int(distance[np.argmax(bucket >= b)]) for b in range(near + 1, half)]


def relative(table: Float[Array, "R N"], *, bidirectional: bool = True, max_distance: int = 128) -> Bias:
    """A learned number for each head and bucket of distances (Raffel et al. 2020, T5).

    With d = key position - query position and R' buckets for each direction (R / 2 if bidirectional, keys behind first;
    else R, and all keys ahead fall in bucket 0): |d| < R'/2 has a bucket of its own; those beyond share, by
    R'/2 + floor(log(2|d|/R') / log(2 max_distance/R') R'/2), and from max_distance on all are in the last one. As in
    T5's code and in transformers, which compute the logarithm in float32.

    Args:
        table: `[R, N]`.
        bidirectional: False for decoders.

    Raises:
        ArgumentError, ArgumentTypeError: a table that is not `[R, N]`, too few or an odd number of buckets, a
            max_distance that the near buckets already reach.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> bias = attention.relative(jnp.arange(8.0).reshape(8, 1))
        >>> bias.scores(jnp.ones((1, 1, 4)), jnp.array([3]), jnp.arange(6)).tolist()
        [[[2.0, 2.0, 1.0, 0.0, 5.0, 6.0]]]
    """
    _check_table("table", table, "[buckets, heads]")
    buckets, bidirectional = table.shape[0], true_or_false("bidirectional", bidirectional)
    half = buckets // 2 if bidirectional else buckets
    if half < 2 or (bidirectional and buckets % 2):
        raise ArgumentError(
            f"table must have {'an even number of 4 or more' if bidirectional else '2 or more'} buckets in its first "
            f"axis, found {buckets} in the shape {table.shape}"
        )
    if whole_number("max_distance", max_distance, 1) <= half // 2:
        raise ArgumentError(
            f"max_distance must be above {half // 2}, as nearer ones have a bucket each, found {max_distance}"
        )
    return _Relative(table, bidirectional, max_distance)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Shaw(Bias):
    table: Float[Array, "R H"]

    def scores(
        self, q: Float[Array, "*B T N H"], q_positions: Int[Array, "..."], k_positions: Int[Array, "..."]
    ) -> Float[jax.Array, "... N T S"]:
        if q.shape[-1] != self.table.shape[-1]:
            raise ArgumentError(
                f"table must have as many columns as a head has features, found {self.table.shape} for heads of "
                f"{q.shape[-1]}"
            )
        clip = self.table.shape[0] // 2
        products = jnp.einsum("...tnh,rh->...ntr", q, jnp.asarray(self.table))
        row = jnp.clip(_differences(q_positions, k_positions), -clip, clip) + clip
        row = row.reshape((1,) * (products.ndim - 1 - row.ndim) + row.shape)[..., None, :, :]
        row = jnp.broadcast_to(row, (*products.shape[:-1], row.shape[-1]))
        return jnp.take_along_axis(products, row, axis=-1)


def shaw(table: Float[Array, "R H"]) -> Bias:
    """The product of each query with a learned vector for its clipped distance from the key (Shaw et al. 2018).

    scores = q . table[clip + max(-clip, min(clip, key position - query position))], with q already scaled: the term
    x_i W^Q (a_ij^K)^T / sqrt(H) of eq. 5, whose vectors all heads share. The vectors of values, a^V, are left out, as
    later works do.

    Args:
        table: `[2 clip + 1, H]`, keys behind first.

    Raises:
        ArgumentError, ArgumentTypeError: a table that is not `[2 clip + 1, H]`, H another width than that of the heads.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> bias = attention.shaw(jnp.array([[-1.0], [0.0], [1.0]]))
        >>> bias.scores(jnp.full((1, 1, 1), 2.0), jnp.array([2]), jnp.arange(5)).tolist()
        [[[-2.0, -2.0, 0.0, 2.0, 2.0]]]
    """
    _check_table("table", table, "[2 * clip + 1, head features]")
    if table.shape[0] % 2 == 0:
        raise ArgumentError(f"table must have an odd number of rows, 2 * clip + 1, found the shape {table.shape}")
    return _Shaw(table)


def _check_table(name: str, table: Array, axes: str) -> None:
    dtype = getattr(table, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise ArgumentTypeError(f"{name} must be a floating point array, found {dtype or type(table).__name__}")
    if table.ndim != 2:
        raise ArgumentError(f"{name} must be {axes}, found the shape {table.shape}")
