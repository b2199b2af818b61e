"""One step of a sequence with its marks, as it is written: what every engine's steps are compared with."""

from typing import Any

from seqjax._internal.trees import cast_like, select
from seqjax._internal.types import Carry, Pair, PyTree
from seqjax.core import taps
from seqjax.core.held import with_held, without_held


def marked_step(cell: Any, shared: PyTree, carry: Carry, inputs: PyTree) -> Pair:
    """The next carry, and the output with what was tapped.

    shared: parameters, what is held of the carry, and the carry that unreal steps read (see `fill_padding`).
    carry: what moves of it.
    inputs: x, whether the step is real, whether it begins anew, and probes; each may be None but x.
    """
    (params, held, filler), (x, mask, reset, probes) = shared, inputs
    if reset is not None:
        fresh = without_held(cell.restart(params, with_held(carry, held), reset.shape))
        carry = select(reset, cast_like(fresh, carry), carry)
    read = select(mask, carry, filler)
    (after, y), values = taps.run_recorded(taps.tap_step, probes, cell, params, with_held(read, held), x)
    return select(mask, cast_like(without_held(after), carry), carry), (y, values)
