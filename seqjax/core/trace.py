"""What happens inside a cell while it runs over a sequence."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.validation import is_concrete
from seqjax.core import arguments as checks
from seqjax.core import driver, taps
from seqjax.core.cell import Cell, Params
from seqjax.errors import ArgumentError, closest


def trace(
    cell: Cell,
    params: Params,
    xs: Any,
    carry: Any = None,
    *,
    add: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, Any, dict[str, jax.Array]]:
    """Run a cell as `seqjax.scan` does, and see its gates, states and outputs: `carry, ys, seen = trace(...)`.

    Values are found by path. A cell's own are those that it taps (`f = tap("f", f)`): the gates i, f, g, o and states
    c, h of an LSTM, r, u, n and h of a GRU, h of an RNN. Of every cell there are its states, by their names in the
    carry ("h" for a lone one), and its output "y". Cells made of cells put their parts' names before it, as in their
    parameters: "1/forward/f" is the forget gate of the forward direction of the second cell of a stack. A wrapper has
    the path of the cell within. A state that a cell has tapped under another name is found there alone.

        _, _, seen = trace(model, params, xs, lengths=lengths)
        print({name: value.shape for name, value in seen.items()})

    A zero probe is how to differentiate in a value: the gradient in `probe` of a loss of
    `trace(cell, params, xs, add={"f": probe})` is dL/df at every step. A function edits: `{"f": jnp.ones_like}` is the
    cell without its forget gate. What is tapped inside `update` passes everything on that follows from it; a state
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
    call = driver.prepare(cell, params, xs, carry, driver.Options.of(options))
    probes, edits = {}, {}
    for name, what in (add or {}).items():
        if callable(what):
            edits[name] = what
        else:
            probes[name] = checks.arrays(f"add[{name!r}]", what)
    # With edits nothing is kept compiled: what a function reads may be something else at the next call.
    inline = call.is_inline() or edits or not all(map(is_concrete, jax.tree.leaves(probes)))
    run = partial(_run, edits) if inline else _compiled
    return run(call.cell, call.options, *call[2:], probes)


def _run(
    edits: Mapping[str, Callable],
    cell: Cell,
    options: Any,
    params: Any,
    xs: Any,
    carry: Any,
    marks: Any,
    add: Any,
) -> tuple[Any, Any, dict[str, jax.Array]]:
    shape = checks.sequence_shape(cell, xs, options.time_major)
    for name, probe in add.items():
        leading = shape.leading()
        if probe.shape[: len(leading)] != leading:
            raise ArgumentError(f"add[{name!r}] has shape {probe.shape}, expected {leading} first ({shape.axes})")
    with taps.recording(shape.leaves_time_first(jax.tree.map(jnp.asarray, add)), edits) as record:
        carry, ys = driver.run(cell, options, params, xs, carry, marks)
    for name in [*add, *edits]:
        if name not in record.values:
            raise ArgumentError(f"add: {cell!r} has no tap {name!r}.{closest(name, record.values)}")
    values = driver.clean(record.values, driver.real_steps(marks, shape))
    return carry, ys, values if options.time_major else jax.tree.map(shape.time_back, values)


_compiled = jax.jit(partial(_run, {}), static_argnums=(0, 1))
