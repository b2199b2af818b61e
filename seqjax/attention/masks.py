"""Which pairs of query and key may attend: masks as values, joined by `&`. True = attend."""

import numpy as np

from seqjax._internal.types import Array, Bool, Int
from seqjax._internal.validation import known, whole_number
from seqjax.attention.mask import Mask, Segments, flags_of
from seqjax.attention.shapes import integers
from seqjax.errors import ArgumentError


def causal() -> Mask:
    """A query sees the keys at its own position and before it.

    >>> from seqjax import attention
    >>> attention.causal().array(2, 4)[0].astype(int).tolist()  # the queries are the last two of four
    [[1, 1, 1, 0], [1, 1, 1, 1]]
    """
    return Mask(causal=True)


def window(steps: int) -> Mask:
    """A query sees the keys less than `steps` away, on both sides; with `causal` the last `steps`, itself among them.

    After Beltagy et al. 2020.

    Raises:
        ArgumentError, ArgumentTypeError: no whole number above 0.

        >>> from seqjax import attention
        >>> attention.window(2).array(3, 3)[0].astype(int).tolist()
        [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    """
    return Mask(window=whole_number("window", steps, least=1))


def padding(real: Bool[Array, "*B S"]) -> Mask:
    """The keys that are real are seen, those that fill up a batch are not.

    Args:
        real: True for a real key.

    Raises:
        ArgumentTypeError: no bool array.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> attention.padding(jnp.array([True, True, False])).array(1, 3)[0].astype(int).tolist()
        [[1, 1, 0]]
    """
    return Mask(real=flags_of("real", real, least=1))


def segments(ids: Int[Array, "*B T"], keys: Int[Array, "*B S"] | None = None) -> Mask:
    """A query sees the keys of its own segment: sequences packed into one row do not see each other.

    Args:
        ids: the segment of each query.
        keys: that of each key; by default the same.

    Raises:
        ArgumentTypeError: no whole numbers.

        >>> import jax.numpy as jnp
        >>> from seqjax import attention
        >>> attention.segments(jnp.array([0, 0, 1])).array(3, 3)[0].astype(int).tolist()
        [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    ids = integers("ids", ids, least=1)
    return Mask(segments=(Segments(ids, ids if keys is None else integers("keys", keys, least=1)),))


def prefix(length: int | Int[Array, "*B"]) -> Mask:
    """Causal, but all queries see the keys at positions below `length` (Raffel et al. 2020, the "prefix LM").

    The exemption is from causality alone: `prefix(n) & window(m)` sees no further than m. Of two prefixes the shorter
    holds.

    Raises:
        ArgumentTypeError: no whole numbers.
        ArgumentError: a number below 0, where it is known.

        >>> from seqjax import attention
        >>> attention.prefix(2).array(3, 3)[0].astype(int).tolist()
        [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    """
    numbers = integers("length", length)
    if known(length) and np.any(np.asarray(length) < 0):
        raise ArgumentError(f"length must be 0 or more, found {np.min(np.asarray(length))}")
    return Mask(causal=True, prefix=numbers)
