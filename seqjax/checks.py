"""What is looked at before anything is computed. Shapes and dtypes always, values where they are known."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.cell import Cell, check_cell_type
from seqjax.errors import ArgumentError, ArgumentTypeError

GRADIENTS = ("deferred", "autodiff")
ENGINES = ("auto", "scan")


@dataclass(frozen=True)
class Shape:
    """The axes of a sequence: batch shape, number of steps, feature axes of each leaf, and the layout."""

    batch: tuple[int, ...]
    length: int
    feature_axes: Any
    time_major: bool

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


def known(array: Any) -> bool:
    """Whether the values can be looked at."""
    if isinstance(array, jax.core.Tracer):
        return False
    return not isinstance(array, jax.Array) or array.is_fully_addressable


def options(
    cell: Any, params: Any, gradient: Any, checkpoint: Any, unroll: Any, engine: Any, reverse: Any, time_major: Any
) -> None:
    """The cell itself, that params are a dict, and the options that are plain values."""
    check_cell_type("scan", cell)
    if not isinstance(params, dict):
        slip = " Arguments in the order scan(cell, params, xs)?" if hasattr(params, "shape") else ""
        raise ArgumentTypeError(
            f"{cell!r}: params must be the dict from cell.init(key, in_features), found {type(params).__name__}.{slip}"
        )
    if gradient not in GRADIENTS:
        raise ArgumentError(f"gradient must be one of {', '.join(GRADIENTS)}, found {gradient!r}")
    if engine not in ENGINES:
        raise ArgumentError(f"engine must be one of {', '.join(ENGINES)}, found {engine!r}")
    if checkpoint is not None and checkpoint != "sqrt" and not _is_count(checkpoint):
        raise ArgumentError(f'checkpoint must be None, a number of steps above 0, or "sqrt", found {checkpoint!r}')
    if not _is_count(unroll):
        raise ArgumentError(f"unroll must be a whole number above 0, found {unroll!r}")
    for name, value in (("reverse", reverse), ("time_major", time_major)):
        if not isinstance(value, bool):
            raise ArgumentTypeError(f"{name} must be True or False, found {value!r}")


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
        if getattr(leaf.dtype, "kind", "f") in "OSUV" and not jnp.issubdtype(leaf.dtype, jnp.floating):
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
    return Shape(batch, length, ranks, time_major)


def params(cell: Cell, given: Any, xs: Any, shape: Shape) -> None:
    """Parameters against those that `cell.init` would make for this input."""
    if not isinstance(xs, (jax.Array, np.ndarray)):
        return  # a tree of inputs: what init takes for it is the cell's own business
    rank = shape.feature_axes
    size = {0: 0, 1: xs.shape[-1]}.get(rank, xs.shape[xs.ndim - rank :])
    expected, found = _paths(_expected_params(cell, size)), _paths(given)
    if missing := sorted(set(expected) - set(found)):
        extra = sorted(set(found) - set(expected))
        rest = f" and has {', '.join(extra)} beside" if extra else ""
        raise ArgumentError(f"{cell!r}: params lacks {', '.join(missing)}{rest}. Parameters of another cell?")
    if extra := sorted(set(found) - set(expected)):
        raise ArgumentError(
            f"{cell!r}: params has {', '.join(extra)}, which this cell does not know. Parameters of another cell?"
        )
    for path, want in expected.items():
        _check_param(cell, path, found[path], want, xs, size, shape)


def _check_param(cell: Cell, path: str, leaf: Any, want: Any, xs: Any, size: Any, shape: Shape) -> None:
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise ArgumentTypeError(f"{cell!r}: params{path} must be an array, found {leaf!r}")
    if jnp.issubdtype(want.dtype, jnp.floating) and not jnp.issubdtype(leaf.dtype, jnp.floating):
        raise ArgumentTypeError(f"{cell!r}: params{path} must be floating point, found {leaf.dtype}")
    if leaf.shape == want.shape:
        return
    if len(leaf.shape) == len(want.shape):
        odd = [(a, b) for a, b in zip(leaf.shape, want.shape) if a != b]
        if len(odd) == 1 and odd[0][1] == size:
            raise ArgumentError(
                f"{type(cell).__name__}: xs has {size} features (shape {tuple(xs.shape)} = {shape.axes}, features) "
                f"but params were made for {odd[0][0]}. Time-major data? pass time_major=True. "
                "Another layer's output?"
            )
    raise ArgumentError(
        f"{cell!r}: params{path} has shape {tuple(leaf.shape)}, expected {tuple(want.shape)} "
        f"for xs of shape {tuple(xs.shape)} ({shape.axes}, features). Parameters of another cell, or "
        "stacked ones without jax.vmap?"
    )


@functools.lru_cache(maxsize=256)
def _expected_params(cell: Cell, size: Any) -> Any:
    return jax.eval_shape(lambda: cell.init(jax.random.key(0), size))


def _paths(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def flags(cell: Cell, name: str, array: Any, shape: Shape) -> jax.Array:
    """A mask or resets: bool, of the sequence's leading shape."""
    if not hasattr(array, "dtype"):
        array = np.asarray(array)
    if array.dtype != bool:
        raise ArgumentTypeError(
            f"{name} must be bool, found {array.dtype}. Convert it, as in {name} != 0, and see that True means "
            + ("a real step" if name == "mask" else "a new sequence begins")
        )
    if array.shape != shape.leading():
        turned = ""
        if sorted(array.shape) == sorted(shape.leading()):
            turned = " Axes swapped? Batch-major is the default; pass time_major=True for time-major data"
        raise ArgumentError(
            f"{name} has shape {tuple(array.shape)}, expected {shape.leading()} ({shape.axes}).{turned}"
        )
    return jnp.asarray(array)


def lengths(cell: Cell, given: Any, mask: Any, shape: Shape) -> Any:
    """Whole numbers in [0, T], one for each sequence."""
    if mask is not None:
        raise ArgumentError("mask and lengths were both given; they say the same thing, so pass one")
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


def carry(cell: Cell, params: Any, given: Any, shape: Shape) -> Any:
    """A carry against the one that the cell would begin with."""
    if cell.random:
        expected = jax.eval_shape(
            lambda: cell.initial_carry(params, shape.batch, key=jax.random.key(0))  # type: ignore[call-arg]
        )
    else:
        expected = jax.eval_shape(lambda: cell.initial_carry(params, shape.batch))
    wanted, found = str(jax.tree.structure(expected)), str(jax.tree.structure(given))
    if wanted != found:
        raise ArgumentError(f"{cell!r}: carry has the structure {found}, expected {wanted}. A carry of another cell?")
    pairs = zip(_paths(expected).items(), jax.tree.leaves(given))
    for (path, want), leaf in pairs:
        if leaf.shape != want.shape:
            raise ArgumentError(
                f"{cell!r}: carry{path} has shape {tuple(leaf.shape)}, expected {tuple(want.shape)} "
                f"for a batch of shape {shape.batch}. Another batch size, or time-major data?"
            )
        for kind in (jnp.floating, jnp.integer, jax.dtypes.prng_key):
            if jnp.issubdtype(want.dtype, kind) and not jnp.issubdtype(leaf.dtype, kind):
                raise ArgumentTypeError(
                    f"{cell!r}: carry{path} has dtype {leaf.dtype}, expected {want.dtype} or its kind"
                )
    return jax.tree.map(jnp.asarray, given)
