"""A mask: which pairs of query and key may attend, evaluated from positions a block at a time.

It holds no `T x S` flags unless it was given such an array: the backends evaluate it for each block of queries and
keys, and leave out the blocks in which no pair may attend.
"""

import dataclasses
from functools import reduce
from operator import and_
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Bool, Int, Shape
from seqjax.attention.shapes import Positions, check_positions, default_positions, fit, fit_positions, ranges
from seqjax.errors import ArgumentError, ArgumentTypeError


class Segments(NamedTuple):
    """The ids of queries `[*B, T]` and keys `[*B, S]`: a pair may attend where they are equal."""

    queries: Any
    keys: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Mask:
    """Which pairs may attend, all conditions together; made by `causal`, `window`, `padding`, `segments`, `prefix`.

    With q and k the positions of a query and a key, a pair may attend if all of this holds:

        causal:    k <= q, or k < prefix
        window:    |q - k| < window
        real:      the key is real
        segments:  query and key have equal ids
        pairs:     the flag of the pair, an array `[*B, N, T, S]` or what broadcasts to it

    `&` joins two masks, or a mask and a bool array. A prefix exempts from causality alone.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> mask = attention.causal() & attention.window(2)
        >>> mask.array(3, 3)[0].astype(int).tolist()
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
        >>> (mask & attention.padding(jnp.array([False, True, True]))).array(3, 3)[0].astype(int).tolist()
        [[0, 0, 0], [0, 1, 0], [0, 1, 1]]
    """

    causal: bool = dataclasses.field(default=False, metadata={"static": True})
    window: int | None = dataclasses.field(default=None, metadata={"static": True})
    real: Any = None
    segments: tuple[Segments, ...] = ()
    prefix: Any = None
    pairs: Any = None

    __array_ufunc__ = None  # NumPy's `array & mask` then comes here

    def __and__(self, other: "Mask | Array") -> "Mask":
        """Both at once.

        Raises:
            ArgumentTypeError: the other is neither a mask nor a bool array.
        """
        other = as_mask(other)
        return Mask(
            causal=self.causal or other.causal,
            window=_join(min, self.window, other.window),
            real=_join(_both("padding"), self.real, other.real),
            segments=self.segments + other.segments,
            prefix=_join(_smaller_prefix, self.prefix, other.prefix),
            pairs=_join(_both("bool array"), self.pairs, other.pairs),
        )

    __rand__ = __and__

    def __bool__(self) -> bool:
        """Refuse `a and b`, which would be b alone."""
        raise ArgumentTypeError("a mask is neither true nor false. Join two masks by &, not by `and`")

    def array(self, queries: int, keys: int, positions: Positions | None = None) -> Bool[jax.Array, "*B N T S"]:
        """The flags of all pairs, `[*B, 1 or N, T, S]`: as much memory as the scores.

        Args:
            queries, keys: T and S.
            positions: those of queries `[*B, T]` and keys `[*B, S]`; by default the queries are the last T of S keys.

        Raises:
            ArgumentError: an array of the mask, or positions, do not fit.
        """
        places = default_positions(queries, keys) if positions is None else check_positions(positions)
        parts = [(self.real, 1), (self.prefix, 0), (self.pairs, 3), *((p, 1) for p in places)]
        parts += [(ids, 1) for pair in self.segments for ids in pair]
        batch = jnp.broadcast_shapes(*(a.shape[: max(0, a.ndim - axes)] for a, axes in parts if a is not None))
        heads = 1 if self.pairs is None or self.pairs.ndim < 3 else self.pairs.shape[-3]
        flags = self.fit(batch, heads, queries, keys).block(*fit_positions(places, batch, queries, keys))
        return jnp.broadcast_to(True if flags is None else flags, (*batch, heads, queries, keys))

    def fit(self, batch: Shape, heads: int, queries: int, keys: int) -> "Mask":
        """The same mask, each array of it with all batch axes, of size 1 where it has none.

        Raises:
            ArgumentError: a shape that does not fit, or fits in two ways.
        """
        segments = [
            Segments(
                fit("the ids of queries in segments", ids.queries, batch, (queries,)),
                fit("the ids of keys in segments", ids.keys, batch, (keys,), _ids_hint(ids, queries, keys)),
            )
            for ids in self.segments
        ]
        return dataclasses.replace(
            self,
            segments=tuple(segments),
            real=None if self.real is None else fit("padding", self.real, batch, (keys,)),
            prefix=None if self.prefix is None else fit("prefix", self.prefix, batch, ()),
            pairs=None if self.pairs is None else _fit_pairs(self.pairs, batch, (heads, queries, keys)),
        )

    def block(self, q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"]) -> jax.Array | None:
        """The flags of a block, `[*B or 1s, N or 1, T, S]`, of a mask whose arrays are cut to it; None: all attend."""
        q, k = q_positions[..., None, :, None], k_positions[..., None, None, :]
        flags: list[Array] = []
        if self.causal:
            seen = q >= k
            flags += [seen if self.prefix is None else seen | (k < self.prefix[..., None, None, None])]
        if self.window is not None:
            flags += [jnp.abs(q - k) < self.window]
        if self.real is not None:
            flags += [self.real[..., None, None, :]]
        flags += [ids.queries[..., None, :, None] == ids.keys[..., None, None, :] for ids in self.segments]
        if self.pairs is not None:
            flags += [self.pairs]
        return _all(flags)

    def may_attend(self, q_positions: Int[Array, "*#B T"], k_positions: Int[Array, "*#B S"]) -> jax.Array | None:
        """Whether any pair of a block may attend; sometimes True where none may. None: it always can be."""
        (q_first, q_last), (k_first, k_last) = ranges(q_positions), ranges(k_positions)
        flags: list[Array] = []
        if self.causal:
            seen = k_first <= q_last
            flags += [seen if self.prefix is None else seen | (k_first < self.prefix)]
        if self.window is not None:
            flags += [(q_first - k_last < self.window) & (k_first - q_last < self.window)]
        if self.real is not None:
            flags += [jnp.any(self.real, -1)]
        for ids in self.segments:
            (q_first, q_last), (k_first, k_last) = ranges(ids.queries), ranges(ids.keys)
            flags += [(q_first <= k_last) & (k_first <= q_last)]
        if self.pairs is not None:
            flags += [jnp.any(self.pairs, (-3, -2, -1))]
        found = _all(flags)
        return None if found is None else jnp.any(found)


def as_mask(mask: Mask | Array) -> Mask:
    """A mask as it is, and a bool array as the mask of its flags: of keys alone if it has no axis of another size.

    Raises:
        ArgumentTypeError: neither.
    """
    if isinstance(mask, Mask):
        return mask
    flags = flags_of("mask", mask)
    if not flags.ndim or flags.shape[-1] == 1 or any(n > 1 for n in flags.shape[-3:-1]):
        return Mask(pairs=flags)
    return Mask(real=flags.reshape(*flags.shape[:-3], flags.shape[-1]))


def _fit_pairs(pairs: Array, batch: Shape, axes: Shape) -> jax.Array:
    """Flags `[*B or 1s, N or 1, T or 1, S or 1]`.

    Raises:
        ArgumentError: they do not fit, or may be meant as flags of keys, `[*B, S]`.
    """
    shape = jnp.shape(pairs)
    of_keys = bool(batch) and shape == (*batch, axes[-1])
    fitted = fit("mask", pairs, batch, axes, ". Which keys are real? Write padding(mask)" * of_keys, free=True)
    if of_keys and max(batch) > 1:
        raise ArgumentError(
            f"mask of the shape {shape} may be {['', '[T, S]', '[N, T, S]'][min(len(batch), 2)]}, flags of pairs, or "
            f"[*B, S], flags of keys, as the sizes are the same. Write padding(mask) for keys, mask[None] for pairs"
        )
    return fitted


def _all(flags: list[Array]) -> jax.Array | None:
    """Their conjunction; of arrays of equal rank."""
    return jnp.asarray(reduce(and_, flags)) if flags else None


def _join(how: Any, a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else how(a, b)


def _both(name: str) -> Any:
    """Both flags, of arrays that may differ in rank."""

    def join(a: Array, b: Array) -> jax.Array:
        try:
            shape = jnp.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ArgumentError(f"two masks of the kind {name!r} do not fit: {a.shape} and {b.shape}") from None
        return jnp.broadcast_to(a, shape) & jnp.broadcast_to(b, shape)

    return join


def _smaller_prefix(a: Array, b: Array) -> jax.Array:
    shape = jnp.broadcast_shapes(a.shape, b.shape)
    return lax.min(jnp.broadcast_to(a, shape), jnp.broadcast_to(b, shape))


def flags_of(name: str, flags: Any, least: int = 0) -> Array:
    """A bool array with at least so many axes, as it is.

    Raises:
        ArgumentError, ArgumentTypeError: another thing.
    """
    dtype = getattr(flags, "dtype", None)
    if dtype is None or dtype != jnp.bool_:
        found = f"dtype {dtype}" if dtype is not None else f"{type(flags).__name__}"
        raise ArgumentTypeError(
            f"{name} must be a bool array{' or a Mask' if name == 'mask' else ''}, True = attend, found {found}. "
            "Zeros and ones: write `flags != 0`. An additive mask of 0 and -inf goes to bias"
        )
    if flags.ndim < least:
        raise ArgumentError(f"{name} must have the axes [*B, S], found shape {flags.shape}")
    return flags


def _ids_hint(ids: Segments, queries: int, keys: int) -> str:
    same = ids.queries is ids.keys and queries != keys
    return f". There are {queries} queries and {keys} keys: give the ids of both, segments(ids, keys)" if same else ""
