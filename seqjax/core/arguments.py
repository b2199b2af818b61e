"""What is looked at before anything is computed. Shapes and dtypes always, values where they are known."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.validation import known
from seqjax.core.cell import Cell, check_cell_type
from seqjax.errors import ArgumentError, ArgumentTypeError

GRADIENTS = ("deferred", "autodiff")
ENGINES = ("auto", "scan")


@dataclass(frozen=True)
class Shape:
    """The axes of a sequence.

    batch: batch shape. length: number of steps. feature_axes: of each leaf. width: D of vectors, 0 for token ids,
    the feature axes of larger inputs, None for a tree of inputs.
    """

    batch: tuple[int, ...]
    length: int
    feature_axes: Any
    time_major: bool
    width: Any = None

    @property
    def axes(self) -> str:
        """The order of batch and time in words."""
        names = ["batch"] * len(self.batch)
        return ", ".join(["time", *names] if self.time_major else [*names, "time"])

    def leading(self) -> tuple[int, ...]:
        """The shape of a mask."""
        return (self.length, *self.batch) if self.time_major else (*self.batch, self.length)

    def time_first(self, array: jax.Array) -> jax.Array:
        """An array of this layout, turned to `[T, B, ...]`."""
        return array if self.time_major else jnp.moveaxis(array, len(self.batch), 0)

    def time_back(self, array: jax.Array) -> jax.Array:
        """`[T, B, ...]` turned to `[B, T, ...]`."""
        return jnp.moveaxis(array, 0, len(self.batch))

    def leaves_time_first(self, xs: Any) -> Any:
        """`time_first` for each leaf."""
        return jax.tree.map(self.time_first, xs)


def options(cell: Any, params: Any, given: Any) -> None:
    """The cell itself, that params are a dict, and the options that are plain values."""
    check_cell_type("scan", cell)
    if not isinstance(params, dict):
        slip = " Arguments in the order scan(cell, params, xs)?" if hasattr(params, "shape") else ""
        raise ArgumentTypeError(
            f"{cell!r}: params must be the dict from cell.init(key, in_features), found {type(params).__name__}.{slip}"
        )
    for name, choices in (("gradient", GRADIENTS), ("engine", ENGINES)):
        if getattr(given, name) not in choices:
            raise ArgumentError(f"{name} must be one of {', '.join(choices)}, found {getattr(given, name)!r}")
    checkpoint = given.checkpoint
    if checkpoint is not None and checkpoint != "sqrt" and not _is_count(checkpoint):
        raise ArgumentError(f'checkpoint must be None, a number of steps above 0, or "sqrt", found {checkpoint!r}')
    if not _is_count(given.unroll):
        raise ArgumentError(f"unroll must be a whole number above 0, found {given.unroll!r}")
    for name in ("reverse", "time_major", "checked"):
        if not isinstance(getattr(given, name), bool):
            raise ArgumentTypeError(f"{name} must be True or False, found {getattr(given, name)!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def arrays(name: str, tree: Any) -> Any:
    """Every leaf as an array; numpy arrays stay as they are until their values have been looked at."""
    leaves = jax.tree.leaves(tree)
    if not leaves and name == "xs":
        raise ArgumentTypeError(f"{name} holds no array: {tree!r}")
    for leaf in leaves:
        if not isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
            raise ArgumentTypeError(
                f"{name} must hold arrays, found {type(leaf).__name__} {leaf!r}. "
                "A list of sequences? Pad them into one array and pass lengths="
            )
        odd = leaf.dtype.name in ("longdouble", "float128", "clongdouble", "complex256")
        if odd or not getattr(leaf.dtype, "isnative", True):  # the other order of bytes
            raise ArgumentTypeError(
                f"{name} has dtype {leaf.dtype!r}, which JAX lacks. Convert it: .astype(np.float32)"
            )
        odd = getattr(leaf.dtype, "kind", "f") in "OSUV"  # also what NumPy does not know, as bfloat16 and int4
        if odd and not jnp.issubdtype(leaf.dtype, jnp.inexact) and not jnp.issubdtype(leaf.dtype, jnp.integer):
            raise ArgumentTypeError(f"{name} has dtype {leaf.dtype}, which is no number. Text? Encode it as ids")
    return tree


def sequence_shape(cell: Cell, xs: Any, time_major: bool) -> Shape:
    """Batch shape and number of steps, on which all leaves must agree."""
    try:
        ranks = jax.tree.broadcast(cell.feature_axes, xs)
    except ValueError as error:
        raise ArgumentError(
            f"{cell!r}: xs has the structure {jax.tree.structure(xs)}, which does not match the cell's "
            f"feature_axes {cell.feature_axes!r}"
        ) from error
    found: set[tuple[tuple[int, ...], int]] = set()
    for x, rank in zip(jax.tree.leaves(xs), jax.tree.leaves(ranks)):
        if x.ndim < rank + 1:
            want = "time" + ", features" * rank
            raise ArgumentError(
                f"{cell!r}: xs has shape {x.shape}, but needs at least the axes ({want}), with batch axes before. "
                "One step only? Use cell.step"
            )
        leading = tuple(x.shape[: x.ndim - rank])
        found.add((leading[1:], leading[0]) if time_major else (leading[:-1], leading[-1]))
    if len(found) > 1:
        raise ArgumentError(f"{cell!r}: the arrays of xs disagree on (batch shape, steps): {sorted(found)}")
    batch, length = found.pop()
    width = None
    if hasattr(xs, "shape"):
        width = {0: 0, 1: xs.shape[-1]}.get(ranks, xs.shape[xs.ndim - ranks :])
    return Shape(batch, length, ranks, time_major, width)


def mask(cell: Cell, array: Any, shape: Shape) -> Any:
    """Bool, of the sequence's leading shape."""
    return _flags("mask", array, shape, "a real step")


def resets(cell: Cell, array: Any, shape: Shape) -> Any:
    """Bool, of the sequence's leading shape."""
    return _flags("resets", array, shape, "a new sequence begins")


def _flags(name: str, array: Any, shape: Shape, meaning: str) -> Any:
    if not hasattr(array, "dtype"):
        array = np.asarray(array)
    if array.dtype != bool:
        raise ArgumentTypeError(
            f"{name} must be bool, found {array.dtype}. Convert it, as in {name} != 0, "
            f"and see that True means {meaning}"
        )
    if array.shape != shape.leading():
        turned = ""
        if sorted(array.shape) == sorted(shape.leading()):
            turned = " Axes swapped? Batch-major is the default; pass time_major=True for time-major data"
        raise ArgumentError(
            f"{name} has shape {tuple(array.shape)}, expected {shape.leading()} ({shape.axes}).{turned}"
        )
    return array


def lengths(cell: Cell, given: Any, shape: Shape) -> Any:
    """Whole numbers in [0, T], one for each sequence."""
    if not hasattr(given, "dtype"):
        given = np.asarray(given)
    if not jnp.issubdtype(given.dtype, jnp.integer):
        raise ArgumentTypeError(
            f"lengths must be whole numbers of steps, found dtype {given.dtype}"
            + (". That is a mask: pass mask=" if given.dtype == bool else "")
        )
    if given.shape != shape.batch:
        hint = ""
        if given.shape == (shape.length,):
            hint = " Time-major data? pass time_major=True"
        elif given.shape == shape.leading():
            hint = " That is the shape of a mask: pass mask="
        raise ArgumentError(
            f"lengths has shape {tuple(given.shape)}, expected one for each sequence, {shape.batch} (batch).{hint}"
        )
    if known(given) and given.size:
        values = np.asarray(given)
        if values.min() < 0 or values.max() > shape.length:
            wrong = int(values.min() if values.min() < 0 else values.max())
            raise ArgumentError(
                f"lengths must be in [0, {shape.length}] (steps of xs), found {wrong}. "
                "Lengths of the sequences before they were cut?"
            )
    return given


def input_values(cell: Cell, xs: Any, mask: Any, shape: Shape) -> None:
    """What the cell itself asks of its input: floats, or token ids in range in the real steps."""
    if mask is not None and known(mask):
        mask = np.asarray(mask if shape.time_major else np.moveaxis(np.asarray(mask), 0, -1))
    elif mask is not None:
        return cell.check_input(xs, None, values=False)
    return cell.check_input(xs, mask, values=all(known(x) for x in jax.tree.leaves(xs)))
