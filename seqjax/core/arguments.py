"""Checks of the arguments of `scan`, before anything is computed: shapes and dtypes always, values where known."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.types import PyTree
from seqjax._internal.validation import is_count, known, true_or_false
from seqjax.core.budget import parse_bytes
from seqjax.core.call import Call
from seqjax.core.cell import check_cell_type
from seqjax.core.engines import ENGINES
from seqjax.core.plan import Newton
from seqjax.errors import ArgumentError, ArgumentTypeError

GRADIENTS = ("deferred", "autodiff")
MEMORIES = ("auto", "least")
_LACKING = ("longdouble", "float128", "clongdouble", "complex256")


def check_options(call: Call) -> None:
    """The cell itself, that params are a dict, and the options that are plain values."""
    check_cell_type("scan", call.cell)
    if not isinstance(call.params, dict):
        slip = " Arguments in the order scan(cell, params, xs)?" if hasattr(call.params, "shape") else ""
        found = type(call.params).__name__
        raise ArgumentTypeError(
            f"{call.cell!r}: params must be the dict from cell.init(key, in_features), found {found}.{slip}"
        )
    options = call.options
    for name, choices in (("gradient", GRADIENTS), ("engine", ENGINES), ("memory", MEMORIES)):
        value = getattr(options, name)
        known_one = isinstance(value, str) and value in choices
        if not known_one and not (name == "engine" and isinstance(value, Newton)):
            raise ArgumentError(f"{name} must be one of {', '.join(choices)}, found {value!r}")
    checkpoint = options.checkpoint
    named = isinstance(checkpoint, str) and (checkpoint == "sqrt" or parse_bytes(checkpoint) is not None)
    if checkpoint is not None and not named and not is_count(checkpoint):
        raise ArgumentError(
            'checkpoint must be None, a number of steps above 0, "sqrt", or memory such as "512MB" or "2GiB", '
            f"found {checkpoint!r}"
        )
    if not is_count(options.unroll):
        raise ArgumentError(f"unroll must be a whole number above 0, found {options.unroll!r}")
    for name in ("reverse", "time_major", "checked"):
        true_or_false(name, getattr(options, name))


def check_arrays(name: str, tree: PyTree) -> None:
    """Every leaf is an array of numbers that JAX knows."""
    leaves = jax.tree.leaves(tree)
    if not leaves and name == "xs":
        raise ArgumentTypeError(f"{name} holds no array: {tree!r}")
    for leaf in leaves:
        _check_array(name, leaf)


def _check_array(name: str, leaf: object) -> None:
    if not isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
        raise ArgumentTypeError(
            f"{name} must hold arrays, found {type(leaf).__name__} {leaf!r}. "
            "A list of sequences? Pad them into one array and pass lengths="
        )
    if leaf.dtype.name in _LACKING or not getattr(leaf.dtype, "isnative", True):  # the other order of bytes
        raise ArgumentTypeError(f"{name} has dtype {leaf.dtype!r}, which JAX lacks. Convert it: .astype(np.float32)")
    odd = getattr(leaf.dtype, "kind", "f") in "OSUV"  # also what NumPy does not know, as bfloat16 and int4
    if odd and not jnp.issubdtype(leaf.dtype, jnp.inexact) and not jnp.issubdtype(leaf.dtype, jnp.integer):
        raise ArgumentTypeError(f"{name} has dtype {leaf.dtype}, which is no number. Text? Encode it as ids")


def check_mask(call: Call) -> None:
    """Bool, of the sequence's leading shape, and not beside lengths."""
    _check_flags("mask", call, "a real step")
    if call.mask is not None and call.lengths is not None:
        raise ArgumentError("mask and lengths were both given; they say the same thing, so pass one")


def check_resets(call: Call) -> None:
    """Bool, of the sequence's leading shape."""
    _check_flags("resets", call, "a new sequence begins")


def _check_flags(name: str, call: Call, meaning: str) -> None:
    array, layout = getattr(call, name), call.layout
    if array is None:
        return
    if array.dtype != bool:
        raise ArgumentTypeError(
            f"{name} must be bool, found {array.dtype}. Convert it, as in {name} != 0, "
            f"and see that True means {meaning}"
        )
    if array.shape != layout.leading:
        slip = ""
        if sorted(array.shape) == sorted(layout.leading):
            slip = " Axes swapped? Batch-major is the default; pass time_major=True for time-major data"
        raise ArgumentError(f"{name} has shape {tuple(array.shape)}, expected {layout.leading} ({layout.axes}).{slip}")


def check_lengths(call: Call) -> None:
    """Whole numbers in [0, T], one for each sequence."""
    lengths, layout = call.lengths, call.layout
    if lengths is None:
        return
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        slip = ". That is a mask: pass mask=" if lengths.dtype == bool else ""
        raise ArgumentTypeError(f"lengths must be whole numbers of steps, found dtype {lengths.dtype}{slip}")
    if lengths.shape != layout.batch:
        slip = ""
        if lengths.shape == (layout.length,):
            slip = " Time-major data? pass time_major=True"
        elif lengths.shape == layout.leading:
            slip = " That is the shape of a mask: pass mask="
        raise ArgumentError(
            f"lengths has shape {tuple(lengths.shape)}, expected one for each sequence, {layout.batch} (batch).{slip}"
        )
    if known(lengths) and lengths.size:
        values = np.asarray(lengths)
        if values.min() < 0 or values.max() > layout.length:
            wrong = int(values.min() if values.min() < 0 else values.max())
            raise ArgumentError(
                f"lengths must be in [0, {layout.length}] (steps of xs), found {wrong}. "
                "Lengths of the sequences before they were cut?"
            )


def check_input(call: Call) -> None:
    """What the cell itself asks of its input: floats, or token ids in range in the real steps."""
    mask = call.real_steps()
    if mask is not None and not known(mask):
        call.cell.check_input(call.xs, None, values=False)
        return
    if mask is not None:
        mask = np.asarray(mask if call.options.time_major else np.moveaxis(np.asarray(mask), 0, -1))
    call.cell.check_input(call.xs, mask, values=all(known(x) for x in jax.tree.leaves(call.xs)))
