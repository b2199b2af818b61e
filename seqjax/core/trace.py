"""What happens inside a cell while it runs over a sequence."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.types import Array, Carry, Params, PyTree, Shaped
from seqjax._internal.validation import is_concrete
from seqjax.core import driver, taps
from seqjax.core.arguments import check_arrays
from seqjax.core.call import Call
from seqjax.core.cell import Cell
from seqjax.core.padding import zero_padding
from seqjax.errors import ArgumentError, closest

Trace = tuple[Carry, PyTree, dict[str, Shaped[Array, "..."]]]


def trace(
    cell: Cell,
    params: Params,
    xs: PyTree,
    carry: Carry = None,
    *,
    add: Mapping[str, Array | Callable[[jax.Array], Array]] | None = None,
    **options: Any,
) -> Trace:
    """Run a cell as `seqjax.scan` does, and see its gates, states and outputs: `carry, ys, seen = trace(...)`.

    Values are found by path. A cell's own are those that it taps (`f = tap("f", f)`): the gates i, f, g, o and states
    c, h of an LSTM, r, u, n and h of a GRU, h of an RNN. Of every cell there are its states, by their names in the
    carry ("h" for a lone one), and its output "y". Cells made of cells put their parts' names before it, as in their
    parameters: "1/forward/f" is the forget gate of the forward direction of the second cell of a stack. A wrapper has
    the path of the cell within. A state that a cell has tapped under another name is found there alone.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> model = sj.stack(sj.LSTM(2), sj.Dense(1))
        >>> params = model.init(jax.random.key(0), 3)
        >>> carry, ys, seen = sj.trace(model, params, jnp.zeros((4, 6, 3)))
        >>> sorted(seen)
        ['0/c', '0/f', '0/g', '0/h', '0/i', '0/o', '0/y', '1/y']
        >>> print(seen["0/f"].shape, seen["0/f"][0, 0])  # sigmoid(1), as forget biases begin at 1
        (4, 6, 2) [0.7310586 0.7310586]

    A zero probe is how to differentiate in a value: the gradient in `probe` of a loss of
    `trace(cell, params, xs, add={"f": probe})` is dL/df at every step. A function edits: `{"f": jnp.ones_like}` is the
    cell without its forget gate.

        >>> _, _, seen = sj.trace(model, params, jnp.zeros((4, 6, 3)), add={"0/f": jnp.ones_like})
        >>> print(seen["0/f"][0, 0])
        [1. 1.]

    What is tapped inside `update` passes everything on that follows from it; a state
    that is tapped in the carry alone passes on what the next step makes of it.

    Traced cells run step by step with plain autodiff, for one recurrence at a time; outputs are those of `scan`.

    Args:
        cell, params, xs, carry: as in `scan`.
        add: by path, an array to add, `[B, T, ...]` as the value that is traced, or a function `value -> value` that
            is given the value of one step `[B, ...]`, or of all steps `[T, B, ...]` where they are computed at once.
        options: those of `scan`.

    Returns:
        The last carry, ys, and each value `[B, T, ...]` (`[T, B, ...]` with `time_major`), zero in unreal steps.

    Raises:
        ArgumentError, ArgumentTypeError: as `scan`; a path that no tap has; a probe of another shape; a tap inside a
            jit, vmap or loop of the cell's own.
    """
    call = driver.prepare(Call.of(cell, params, xs, carry, options))
    probes, edits = {}, {}
    for name, value in (add or {}).items():
        if callable(value):
            edits[name] = value
        else:
            check_arrays(f"add[{name!r}]", value)
            probes[name] = value
    # With edits nothing is kept compiled: what a function reads may be something else at the next call.
    inline = call.is_inline() or edits or not all(map(is_concrete, jax.tree.leaves(probes)))
    return _run(edits, call, probes) if inline else _compiled(call, probes)


def _run(edits: taps.Edits, call: Call, probes: taps.Probes) -> Trace:
    layout = call.layout
    for name, probe in probes.items():
        if probe.shape[: len(layout.leading)] != layout.leading:
            raise ArgumentError(
                f"add[{name!r}] has shape {probe.shape}, expected {layout.leading} first ({layout.axes})"
            )
    with taps.record_taps(layout.time_first(jax.tree.map(jnp.asarray, probes)), edits) as record:
        carry, ys = driver.run(call)
    for name in [*probes, *edits]:
        if name not in record.values:
            raise ArgumentError(f"add: {call.cell!r} has no tap {name!r}.{closest(name, record.values)}")
    return carry, ys, layout.restore(zero_padding(record.values, call.real_steps()))


_compiled = jax.jit(partial(_run, {}))
