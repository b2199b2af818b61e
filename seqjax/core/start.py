"""Parameters and the first carry of a cell, which is given no more than it asks for."""

from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Carry, DTypeLike, Key, Params, PyTree, Shape
from seqjax._internal.validation import check_batch_shape
from seqjax.core.cell import Cell
from seqjax.errors import ArgumentError

_REMEDIES = {
    "key": "draws random numbers: pass carry=cell.initial_carry(params, batch_shape, key=key), or evaluate with "
    "cell.evaluation()",
    "memory": "reads a memory: pass carry=cell.initial_carry(params, batch_shape, memory=memory)",
    "source": "reads a source: pass carry=cell.initial_carry(params, batch_shape, source=(source, lengths))",
}


def init_params(cell: Cell, key: Key[jax.Array, ""], in_features: Any, dtype: DTypeLike) -> Params:
    """`cell.init`, leaving dtype out where it is the default, as a cell need not know of it."""
    if dtype == jnp.float32:
        return cell.init(key, in_features)
    return cell.init(key, in_features, dtype)


def start_carry(cell: Cell, params: Params, batch_shape: Shape, **given: PyTree) -> Carry:
    """`cell.initial_carry` with what the cell asks for, of all that is given (None: not given).

    Raises:
        ArgumentError: it asks for something else too.
    """
    check_batch_shape(cell, batch_shape)
    for name in sorted(cell.asks):
        if given.get(name) is None:
            needs = f"needs {name!r}: pass carry=cell.initial_carry(params, batch_shape, {name}=...)"
            raise ArgumentError(f"{cell!r} {_REMEDIES.get(name, needs)}")
    return cell.initial_carry(params, batch_shape, **{name: given[name] for name in cell.asks})
