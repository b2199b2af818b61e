"""The one home of what is checked of arguments everywhere: numbers, flags, keys, dtypes.

A function here names the argument, what was found and what was expected. What only `scan` asks of its arguments is in
`seqjax.core.arguments`.
"""

import numbers
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError, closest


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """A whole number from `least` on.

    Raises:
        ArgumentTypeError: no whole number.
        ArgumentError: too small, or 2**63 and more.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        slip = ". It must be static: mark it so for jit" if isinstance(value, jax.core.Tracer) else ""
        raise ArgumentTypeError(f"{name} must be a whole number, found {value!r} ({type(value).__name__}){slip}")
    if not least <= number < 2**63:
        raise ArgumentError(f"{name} must be a whole number of at least {least}, found {number}")
    return number


def real_number(name: str, value: Any) -> float:
    """A real number, one of NumPy or JAX too, as a float.

    Raises:
        ArgumentTypeError: another thing; a traced number.
    """
    dtype = getattr(value, "dtype", None)
    scalar = dtype is not None and jnp.shape(value) == () and jnp.isdtype(dtype, ("integral", "real floating"))
    if isinstance(value, (bool, np.bool_)) or not is_concrete(value) or not (isinstance(value, numbers.Real) or scalar):
        slip = ". It must be static: mark it so for jit" if isinstance(value, jax.core.Tracer) else ""
        raise ArgumentTypeError(f"{name} must be a number, found {value!r}{slip}")
    return float(value)


def key_number(name: str, value: object) -> int:
    """A seed for `jax.random.key`, or a number for `jax.random.fold_in`: these see 32 bits.

    Raises:
        ArgumentError, ArgumentTypeError: no whole number in [0, 2**32).
    """
    number = whole_number(name, value)
    if number >= 2**32:
        raise ArgumentError(
            f"{name} must be below 2**32, as the keys of JAX tell no larger numbers apart, found {number}"
        )
    return number


def true_or_false(name: str, value: object) -> bool:
    """True or False, nothing else.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{name} must be True or False, found {value!r}")
    return value


def is_count(value: object) -> bool:
    """Whether it is a whole number above 0, and neither True nor NumPy's."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_counts(owner: object, **least: int) -> None:
    """Refuse options of a cell or a task that are not whole numbers of at least so much.

    Raises:
        ArgumentError: one is not.
    """
    for name, bound in least.items():
        value = getattr(owner, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            raise ArgumentError(
                f"{type(owner).__name__}: {name} must be a whole number of at least {bound}, found {value!r}"
            )


def is_concrete(array: object) -> bool:
    """Whether an array is there, rather than standing for one in a program that is being traced."""
    return not isinstance(array, jax.core.Tracer)


def known(array: object) -> bool:
    """Whether the values can be looked at."""
    return is_concrete(array) and (not isinstance(array, jax.Array) or array.is_fully_addressable)


def check_init(cell: object, key: object, in_features: object, dtype: object) -> None:
    """Refuse what no parameters can be drawn from.

    Raises:
        ArgumentError, ArgumentTypeError: not one key of `jax.random.key`, no features, or a dtype that is no float.
    """
    check_key(cell, key)
    check_dtype(cell, dtype)
    if isinstance(in_features, bool) or not isinstance(in_features, (int, np.integer)) or in_features < 1:
        raise ArgumentError(f"{cell!r}: in_features must be a whole number above 0, found {in_features!r}")


def check_key(cell: object, key: Any) -> None:
    """Refuse what is not one key of the present style."""
    if not hasattr(key, "dtype") or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.shape != ():
        raise ArgumentTypeError(
            f"{cell!r}: key must be one key such as jax.random.key(0), found {key!r}. jax.random.PRNGKey makes keys of "
            "the old style; a whole number is no key"
        )


def check_dtype(cell: object, dtype: Any) -> None:
    """Refuse a dtype that parameters cannot have."""
    try:
        good = jnp.issubdtype(jnp.dtype(dtype), jnp.inexact)
    except TypeError:
        good = False
    if not good:
        raise ArgumentTypeError(f"{cell!r}: dtype must be floating point, found {dtype!r}")


def check_batch_shape(cell: object, batch_shape: object) -> None:
    """Refuse a batch shape that is no tuple."""
    if not isinstance(batch_shape, (tuple, list)):
        raise ArgumentTypeError(
            f"{cell!r}: batch_shape must be a tuple, found {batch_shape!r}. Write (4,) for a batch of 4"
        )


def check_given(cell: Any, given: dict[str, object]) -> None:
    """Refuse what is given for an initial carry though neither the cell nor any other of its kind asks for it."""
    for name in given.keys() - cell.asks - {"key", "memory", "in_features"}:
        raise ArgumentError(
            f"{cell!r}: initial_carry was given {name!r}, which no part asks for.{closest(name, cell.asks)}"
        )


def check_causal(cell: Any) -> None:
    """Refuse a single step of what must see the whole sequence."""
    if not cell.causal:
        raise NotCausalError(
            f"{cell!r} reads the sequence in both directions, so it has no step; run it with seqjax.scan"
        )


def check_ids(cell: object, xs: Any, mask: Any, values: bool, vocabulary: int | None) -> None:
    """Refuse what are no token ids, or (where values are known) real ones out of range; None: there is no bound.

    Raises:
        ArgumentError, ArgumentTypeError: so it is.
    """
    if not jnp.issubdtype(xs.dtype, jnp.integer):
        raise ArgumentTypeError(
            f"{cell!r}: xs must be token ids of an integer dtype, found {xs.dtype} {tuple(xs.shape)}. "
            "Vectors do not need an embedding; use Dense"
        )
    ids = np.asarray(xs)[() if mask is None else mask] if values and vocabulary is not None else np.zeros(0, int)
    if ids.size and not 0 <= ids.min() <= ids.max() < (vocabulary or 0):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ArgumentError(
            f"{cell!r}: xs has the token id {wrong}, but ids must be in [0, {vocabulary}). "
            "Made with another vocabulary?"
        )
