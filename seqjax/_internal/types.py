"""Types for signatures: arrays with their axes, and trees of them.

`Float[Array, "*B T D"]` is a floating point array with any batch axes, then T steps of D features; a name stands for
one size in all arguments and the result of a function. `PyTree` is any nesting of arrays. The tests check them, with
jaxtyping and beartype (`tests/test_types.py`); everywhere else they are words for readers and cost nothing.
"""

import os
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.typing import DTypeLike

Array = jax.Array | np.ndarray

if TYPE_CHECKING or os.environ.get("SEQJAX_CHECK_TYPES"):
    from jaxtyping import Bool, Complex, Float, Inexact, Int, Key, Num, PyTree, Shaped
else:

    class _Word:
        def __getitem__(self, parts: Any) -> Any:
            return parts[0] if isinstance(parts, tuple) else Any

    Bool = Complex = Float = Inexact = Int = Key = Num = Shaped = _Word()
    PyTree = Any

Params = dict[str, PyTree]
"""Parameters: a nested dict of arrays."""

Carry = PyTree
"""What a cell hands from one step to the next: any tree of arrays, whose batch axes come first."""

Pair = tuple[PyTree, PyTree]
"""A carry and an output (or all outputs), in this order."""

Shape = tuple[int, ...]

__all__ = [
    "Array", "Bool", "Carry", "Complex", "DTypeLike", "Float", "Inexact", "Int", "Key", "Num", "Pair", "Params",
    "PyTree", "Shape", "Shaped",
]  # fmt: skip
