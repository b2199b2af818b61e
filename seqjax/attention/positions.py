"""Positions written into vectors: sinusoidal, learned, rotary. Biases from positions are in `seqjax.attention.bias`.

Positions are whole numbers of any size and batch axes, those of `places` for instance. Angles are computed in turns by
32-bit fixed-point arithmetic, which is exact modulo one turn: float32 alone would be off by 0.006 at position 100,000.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, DTypeLike, Float, Int
from seqjax._internal.validation import check_dtype, real_number, whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.layers.embed import rows_sharding


def sinusoidal(
    positions: Int[Array, "*B"], features: int, *, base: float = 10_000.0, dtype: DTypeLike = jnp.float32
) -> Float[jax.Array, "*B F"]:
    """Sines and cosines of a position (Vaswani et al. 2017, section 3.5), to be added to embeddings.

    y[2i] = sin(p / base^(2i/F)), y[2i+1] = cos(p / base^(2i/F)).

    Args:
        positions: int `[*B]`, any axes.
        features: F, an even number.
        base: the longest wave has 2 pi base positions.
        dtype: of the result; computed in float32 at least.

    Raises:
        ArgumentError, ArgumentTypeError: positions that are not integer, an odd F, a base that is not above 0.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> print(attention.sinusoidal(jnp.arange(2), 4))
        [[0.         1.         0.         1.        ]
         [0.84147096 0.5403023  0.00999983 0.99995   ]]
    """
    check_positions("positions", positions)
    _check_width("features", whole_number("features", features, 1))
    check_dtype("sinusoidal", dtype)
    wide = jnp.promote_types(dtype, jnp.float32)
    angle = _angles(positions, features, _check_above_zero("base", base), 1.0, wide)
    return jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1).reshape(*angle.shape[:-1], features).astype(dtype)


def rotary(
    x: Float[Array, "*B T N H"], positions: Int[Array, "..."], *, base: float = 10_000.0, scaling: float = 1.0
) -> Float[jax.Array, "*B T N H"]:
    """Queries or keys turned by their positions, so that their products depend on differences alone (Su et al. 2021).

    The pair (x[i], x[i + H/2]) is turned by the angle p / scaling * base^(-2i/H): the layout of GPT-NeoX and LLaMA, the
    two halves of a head. (RoFormer turns neighbours, (x[2i], x[2i+1]); it is the same up to an order of the features.)

    Args:
        x: `[*B, T, N, H]`, H even.
        positions: int `[*B, T]`, or `[T]` for all rows.
        base: the slowest pair turns once in about 2 pi base positions.
        scaling: linear interpolation (Chen et al. 2023): s times as many positions within the same angles.

    Returns:
        As x, in its dtype; angles and products in float32 at least.

    Raises:
        ArgumentError, ArgumentTypeError: positions that are not integer or do not fit, an odd H, a base or scaling that
            is not above 0.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> x = jnp.array([1.0, 0.0]).reshape(1, 1, 2)
        >>> print(attention.rotary(x, jnp.array([1])).ravel())
        [0.5403023  0.84147096]
    """
    check_positions("positions", positions)
    _check_floats("x", x)
    if x.ndim < 3 or positions.shape not in (x.shape[:-2], x.shape[-3:-2]):
        raise ArgumentError(
            f"positions must have the shape [*B, T] or [T] of x [*B, T, N, H] (heads after time), found "
            f"{positions.shape} for x {x.shape}"
        )
    _check_width("the head width H of x", x.shape[-1])
    wide = jnp.promote_types(x.dtype, jnp.float32)
    base, scaling = _check_above_zero("base", base), _check_above_zero("scaling", scaling)
    positions = positions.reshape((1,) * (x.ndim - 2 - positions.ndim) + positions.shape)
    angle = _angles(positions, x.shape[-1], base, scaling, wide)[..., None, :]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first, second = jnp.split(jnp.asarray(x).astype(wide), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x.dtype)


def learned(table: Float[Array, "C F"], positions: Int[Array, "*B"]) -> Float[jax.Array, "*B F"]:
    """The row of a table for each position; NaN beyond its end, never another row.

    Raises:
        ArgumentError, ArgumentTypeError: positions that are not integer, a table that is not `[C, F]`.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> attention.learned(jnp.array([[1.0], [2.0]]), jnp.array([1, 0, 2])).ravel().tolist()
        [2.0, 1.0, nan]
    """
    check_positions("positions", positions)
    _check_floats("table", table)
    if table.ndim != 2:
        raise ArgumentError(f"table must be [positions, features], found the shape {table.shape}")
    positions = positions.astype(jnp.int32)  # the size of the table may not fit a narrow dtype
    rows = jnp.where(positions >= 0, positions, table.shape[0])  # -1 would be the last row
    return jnp.asarray(table).at[rows].get(mode="fill", fill_value=jnp.nan, out_sharding=rows_sharding(rows))


def check_positions(name: str, positions: Array) -> None:
    """Refuse positions that are not integer arrays."""
    dtype = getattr(positions, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        raise ArgumentTypeError(f"{name} must be an integer array, found {dtype or type(positions).__name__}")


def _check_floats(name: str, array: Array) -> None:
    dtype = getattr(array, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        raise ArgumentTypeError(f"{name} must be a floating point array, found {dtype or type(array).__name__}")


def _check_width(name: str, width: int) -> None:
    if width % 2:
        raise ArgumentError(f"{name} must be even, as features are turned in pairs, found {width}")


def _check_above_zero(name: str, value: float) -> float:
    number = real_number(name, value)
    if not 0 < number < float("inf"):
        raise ArgumentError(f"{name} must be above 0, found {number}")
    return number


def _angles(
    positions: Int[Array, "*B"], features: int, base: float, scaling: float, dtype: DTypeLike
) -> Float[jax.Array, "*B F"]:
    """The angles `[*B, F/2]`, p / scaling * base^(-2i/F), modulo 2 pi."""
    frequency = base ** (-np.arange(0, features, 2) / features) / scaling
    shape = (1,) * positions.ndim + frequency.shape
    positions = jnp.asarray(positions)[..., None]
    if jnp.finfo(dtype).bits >= 64:
        return positions.astype(dtype) * frequency.reshape(shape).astype(dtype)
    turns = frequency / (2 * np.pi) % 1 * 2.0**32  # per position, in units of 2**-32
    whole = np.floor(turns)
    unsigned = lax.bitcast_convert_type(positions.astype(jnp.int32), jnp.uint32)
    fraction = unsigned * whole.astype(np.uint32).reshape(shape)
    rest = positions.astype(dtype) * (turns - whole).astype(np.float32).reshape(shape)
    signed = lax.bitcast_convert_type(fraction, jnp.int32).astype(dtype)  # in [-1/2, 1/2) turns
    return (signed + rest) * np.float32(2 * np.pi * 2.0**-32)
