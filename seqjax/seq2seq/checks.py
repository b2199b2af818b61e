"""What is refused of decoders that attend, and of their memories."""

from typing import Any

import jax.numpy as jnp

from seqjax._internal.types import Shape
from seqjax._internal.validation import is_count
from seqjax.attention.memory import Memory
from seqjax.combinators.checks import returns_pair
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError, ArgumentTypeError, closest
from seqjax.seq2seq.score import check_score

FEEDS, STARTS = ("before", "after"), ("bridge", "zeros")


def check_options(attend: Any) -> None:
    """Refuse options of `attend` that cannot be.

    Raises:
        ArgumentError: so it is.
    """
    cell = attend.cell
    if cell.feature_axes != 1:
        raise ArgumentError(
            f"attend: {cell!r} takes no vectors, so that no context can stand beside them. Tokens are embedded before: "
            "stack(Embed(50, 16), attend(GRU(64)))"
        )
    if not cell.causal:
        raise ArgumentError(f"attend: {cell!r} reads both directions, so it has no step. encode(cell, ...) takes it")
    if returns_pair(cell):
        raise ArgumentError(f"attend: {cell!r} gives a pair, of which no query can be made")
    check_score(attend.score)
    for name, choices in (("feed", FEEDS), ("start", STARTS)):
        value = getattr(attend, name)
        if value not in choices:
            known = " or ".join(map(repr, choices))
            raise ArgumentError(f"attend: {name} must be {known}, found {value!r}.{closest(str(value), choices)}")
    for name in ("features", "memory_features"):
        value = getattr(attend, name)
        if value is not None and not is_count(value):
            raise ArgumentError(f"attend: {name} must be a whole number above 0, found {value!r}")
    if cell.out_features is None and (attend.feed == "after" or attend.memory_features is None):
        raise ArgumentError(
            f"attend: how many features {cell!r} gives depends on what comes in, so "
            + ("feed must be 'before'" if attend.feed == "after" else "memory_features must be said")
        )


def check_width(attend: Any) -> int:
    """The features of the memory that parameters are made for, E."""
    return int(attend.cell.out_features if attend.memory_features is None else attend.memory_features)


def check_parts(cell: Cell, params: Any, *names: str) -> None:
    """Refuse parameters of another cell.

    Raises:
        ArgumentError: so it is.
    """
    if not isinstance(params, dict) or not set(names) <= params.keys():
        found = ", ".join(map(str, params)) if isinstance(params, dict) else type(params).__name__
        raise ArgumentError(
            f"{cell!r}: params must have {', '.join(names)}, found {found}. Parameters of another cell, or of a part?"
        )


def check_memory(cell: Cell, memory: object, features: int, batch_shape: Shape) -> Memory:
    """The memory, with zeros where it is not real, as 0 times NaN would be NaN.

    Raises:
        ArgumentError, ArgumentTypeError: it is missing; another width, other batch axes; no floats; flags that are not
            bool; tokens of another shape.
    """
    if memory is None:
        raise ArgumentError(f"{cell!r} attends to a memory, but was given none: pass memory=encode(...)")
    if not isinstance(memory, Memory):
        if not hasattr(memory, "dtype"):
            raise ArgumentTypeError(
                f"{cell!r}: expected a Memory or an array [*B, S, E], found {type(memory).__name__}"
            )
        memory = Memory(memory)  # type: ignore[arg-type]
    values = memory.values
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ArgumentTypeError(
            f"{cell!r}: memory must be floating point, found {values.dtype}. Token ids? encode(...) makes vectors"
        )
    wanted = f"{(*batch_shape, 'S', features)}".replace("'", "")
    if values.ndim != len(batch_shape) + 2 or values.shape[:-2] != batch_shape:
        raise ArgumentError(f"{cell!r}: memory has shape {values.shape}, expected {wanted} for this batch")
    if values.shape[-1] != features:
        raise ArgumentError(
            f"{cell!r}: memory has shape {values.shape}, but parameters were made for {wanted}. Write "
            f"attend(..., memory_features={values.shape[-1]}) before init"
        )
    for name, array, kind in (("mask", memory.mask, jnp.bool_), ("tokens", memory.tokens, jnp.integer)):
        _check_beside(cell, name, array, kind, values.shape[:-1])
    mask, tokens = memory.mask, memory.tokens
    tokens = None if tokens is None else jnp.asarray(tokens)
    if mask is None:
        return Memory(jnp.asarray(values), None, tokens)
    mask = jnp.asarray(mask)
    clean = None if tokens is None else jnp.where(mask, tokens, 0)
    return Memory(jnp.where(mask[..., None], values, 0), mask, clean)


def _check_beside(cell: Cell, name: str, array: Any, kind: Any, shape: Shape) -> None:
    if array is None:
        return
    dtype = getattr(array, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, kind):
        wanted = "bool, True where a step is real" if kind is jnp.bool_ else "ids of an integer dtype"
        raise ArgumentTypeError(
            f"{cell!r}: memory.{name} must be an array of {wanted}, found {dtype or type(array).__name__}"
        )
    if array.shape != shape:
        raise ArgumentError(f"{cell!r}: memory.{name} has shape {array.shape}, expected {shape}, as its values")
