"""Taps: values inside a step that `seqjax.trace` and the diagnostics see, and may change.

A cell writes `f = tap("f", f)`. Without a trace that is f itself. Under one, a `Record` is active: the innermost
loop makes a record of its own in its body, hands what it has seen out of the loop as one more output, and puts
that, now with a time axis, into the record around it. So no value crosses a loop, a checkpoint or a jit but as
an input (probes) or an output (values), and every transformation stays exact.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state

from seqjax._internal.types import Array, Carry, Pair, Params, PyTree, Shaped
from seqjax.core.held import held_parts, with_held, without_held
from seqjax.errors import ArgumentError

Edits = Mapping[str, Callable[[jax.Array], Array]]
Probes = Mapping[str, Array]


class Record:
    """The values that have passed taps, by path, and what is to be done to them.

    probes: arrays to add, by path. edits: functions `value -> value`, by path.
    """

    def __init__(self, probes: Probes, edits: Edits) -> None:
        self.probes, self.edits = probes, edits
        self.values: dict[str, jax.Array] = {}
        self._level = get_opaque_trace_state(convention="flax")

    def tap(self, path: str, value: jax.Array) -> jax.Array:
        """Record the value of a path, after what is to be done to it.

        Raises:
            ArgumentError: within a `jit`, `vmap` or loop of the cell's own; a path twice; a probe of another shape.
        """
        if self._level != get_opaque_trace_state(convention="flax"):
            raise ArgumentError(
                f"tap {path!r} stands inside a jit, vmap or loop that the cell itself makes, out of which the trace "
                "cannot carry its value. Tap the value that comes out of it"
            )
        if path in self.values:
            raise ArgumentError(f"tap {path!r} stands twice in one step; give each tap a name of its own")
        if path in self.edits:
            value = _match(path, "edit", self.edits[path](value), value)
        if path in self.probes:
            value = value + _match(path, "probe", self.probes[path], value)
        self.values[path] = value
        return value


class _Active(NamedTuple):
    record: Record
    prefix: str


_active: contextvars.ContextVar[_Active | None] = contextvars.ContextVar("active", default=None)


def tap(name: str, value: Shaped[jax.Array, "..."]) -> Shaped[jax.Array, "..."]:
    """Let `seqjax.trace` see a value inside `step` or `update`: `f = tap("f", f)`, and go on with what it returns.

    value: an array with the batch axes first. Without a trace it comes back as it is, at no cost.

        >>> import jax, jax.numpy as jnp
        >>> import seqjax as sj
        >>> class Leaky(sj.Gated):
        ...     gates = ("n", "rate")
        ...     def update(self, p, h, z, m):
        ...         n, rate = sj.activate(z + m, "tanh sigmoid")
        ...         rate = sj.tap("rate", rate)
        ...         h = h + rate * (n - h)
        ...         return h, h
        >>> cell = Leaky(3)
        >>> params = cell.init(jax.random.key(0), 2)
        >>> carry, ys, seen = sj.trace(cell, params, jnp.zeros((1, 5, 2)))
        >>> {name: value.shape for name, value in seen.items()}
        {'h': (1, 5, 3), 'rate': (1, 5, 3), 'y': (1, 5, 3)}
        >>> print(seen["rate"][0, 0])
        [0.5 0.5 0.5]
    """
    active = _active.get()
    return value if active is None else active.record.tap(active.prefix + name, value)


def is_tracing() -> bool:
    """Whether a trace is looking."""
    return _active.get() is not None


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Put `name/` before the paths of all taps in the block: how cells made of cells keep their parts apart."""
    now = _active.get()
    if now is None:
        yield
        return
    with _activate(_Active(now.record, f"{now.prefix}{name}/")):
        yield


@contextlib.contextmanager
def record_taps(probes: Probes, edits: Edits) -> Iterator[Record]:
    """Make a new record the active one, its paths beginning anew."""
    record = Record(probes, edits)
    with _activate(_Active(record, "")):
        yield record


def current_probes() -> dict[str, Array] | None:
    """The probes within the present scope, for a loop to hand to its body; None without a trace."""
    now = _active.get()
    if now is None:
        return None
    return {path: probe for path, probe in now.record.probes.items() if path.startswith(now.prefix)}


def run_recorded(run: Callable[..., Any], probes: Probes | None, *args: Any) -> tuple[Any, dict[str, jax.Array]]:
    """`run(*args)` and the values that passed its taps: for the body of a loop, which then returns them as outputs."""
    now = _active.get()
    if now is None:
        return run(*args), {}
    record = Record(probes or {}, now.record.edits)
    with _activate(_Active(record, now.prefix)):
        result = run(*args)
    return result, record.values


def add_values(values: Mapping[str, jax.Array]) -> None:
    """Add what the body of a loop has seen, as it came out of the loop, to the record around it.

    Raises:
        ArgumentError: a path is there already.
    """
    now = _active.get()
    if now is None:
        return
    for path in now.record.values.keys() & values.keys():
        raise ArgumentError(f"two parts of a cell both tap {path!r}; run each in a `seqjax.core.taps.scope` of its own")
    now.record.values.update(values)


@contextlib.contextmanager
def batch_major(axes: int, *, step: bool = False) -> Iterator[None]:
    """Let what runs in the block tap values that are batch-major, `[B, T, ...]` with `axes` batch axes.

    Probes, edits and records go on to be those of a cell: `[T, B, ...]` where all steps are computed at once, and with
    `step` `[B, ...]`, of the one step that there is.
    """
    now = _active.get()
    if now is None:
        yield
        return

    def inwards(value: Array) -> jax.Array:
        return jnp.expand_dims(value, axes) if step else jnp.moveaxis(value, 0, axes)

    def outwards(value: Array) -> jax.Array:
        return jnp.squeeze(value, axes) if step else jnp.moveaxis(value, axes, 0)

    def turn(edit: Callable[[jax.Array], Array]) -> Callable[[jax.Array], Array]:
        return lambda value: inwards(edit(outwards(value)))

    probes = {path: inwards(probe) for path, probe in (current_probes() or {}).items()}
    record = Record(probes, {path: turn(edit) for path, edit in now.record.edits.items()})
    with _activate(_Active(record, now.prefix)):
        yield
    add_values({path: outwards(value) for path, value in record.values.items()})


def tap_step(cell: Any, params: Params, carry: Carry, x: PyTree) -> Pair:
    """`cell.step`, with taps on the output "y" and on the states, by their names in the carry ("h" for a lone one)."""
    carry, y = cell.step(params, carry, x)
    if _active.get() is None:
        return carry, y
    return with_held(tap_states(without_held(carry)), held_parts(carry)), tap_output(y)


def tap_states(carry: Carry) -> Carry:
    """A tap on every array of a carry that its cell has not tapped itself; what is held is no state."""
    now = _active.get()
    if now is None:
        return carry
    seen = now.record.values

    def tap_leaf(path: jax.tree_util.KeyPath, leaf: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator="/") or "h"
        if any(value is leaf for value in seen.values()) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        if name == "y":  # a state of the name that outputs have
            name = "carry/y"
        return leaf if now.prefix + name in seen else tap(name, leaf)

    return jax.tree_util.tree_map_with_path(tap_leaf, carry)


def tap_output(y: PyTree) -> PyTree:
    """A tap "y" on an output (on each part of a tree of them), unless a cell within has the path and tapped it."""
    now = _active.get()
    if now is None:
        return y

    def tap_leaf(path: jax.tree_util.KeyPath, leaf: jax.Array) -> jax.Array:
        name = "/".join(filter(None, ("y", jax.tree_util.keystr(path, simple=True, separator="/"))))
        return leaf if now.prefix + name in now.record.values else tap(name, leaf)

    return jax.tree_util.tree_map_with_path(tap_leaf, y)


@contextlib.contextmanager
def _activate(active: _Active | None) -> Iterator[None]:
    token = _active.set(active)
    try:
        yield
    finally:
        _active.reset(token)


def _match(path: str, what: str, found: Array, value: jax.Array) -> jax.Array:
    """`found` in the dtype of the value of which it is a probe or an edit, and of its shape."""
    found = jnp.asarray(found)
    if found.shape != value.shape:
        raise ArgumentError(f"{what} of {path!r} has shape {found.shape} in a step, expected {value.shape}")
    return found.astype(value.dtype)
