"""Many trainings as one program: seeds times learning rates."""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.validation import key_number, whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train import _reports as reports
from seqjax.train._feed import AHEAD, feed
from seqjax.train._progress import Progress
from seqjax.train._reports import Reports
from seqjax.train.state import State, init_state
from seqjax.train.step import make_train_step


class Sweep(NamedTuple):
    """What `sweep` gives.

    state: a `State` whose leaves have the axes `[seeds, learning rates]` first.
    history: rows as those of `fit`, whose values are float64 arrays `[seeds, learning rates]`; NaN where every step
        was skipped.
    """

    state: State
    history: list[dict[str, Any]]


def sweep(
    loss: Callable[..., Any],
    init: Callable[[jax.Array], Any],
    optimizer_of: Callable[[Any], Any],
    source: Any,
    *,
    seeds: Sequence[int],
    learning_rates: Sequence[float],
    steps: int,
    clip: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    precision: str | None = None,
    every: int = 100,
    progress: bool = True,
) -> Sweep:
    """Train a model for each seed and learning rate, all on the same batches, as one program on one device.

    Member [i, j] is what `fit` gives for the parameters `init(jax.random.key(seeds[i]))`, that same key, and
    `optimizer_of(learning_rates[j])`, up to rounding: a program for many members may sum in another order. A member
    whose steps are skipped stays where it is and disturbs no other.

    Args:
        loss, source, steps, clip, accumulate, ema, precision, every, progress: as in `fit`.
        init: makes parameters of a key, such as `lambda key: model.init(key, 0)`.
        optimizer_of: makes the optimiser of a learning rate, such as `optax.adam`.
        seeds: whole numbers in [0, 2**32), as range(3).
        learning_rates: numbers.

    Raises:
        ArgumentError, ArgumentTypeError: an argument that cannot be right.
    """
    steps, every = whole_number("steps", steps, 1), whole_number("every", every, 1)
    seeds = _listed("seeds", seeds, "range(3)")
    learning_rates = _listed("learning_rates", learning_rates, "(1e-3, 3e-3)")
    keys, rates = _members(seeds, learning_rates)
    each = len(learning_rates)
    options: dict[str, Any] = {"clip": clip, "accumulate": accumulate, "ema": ema, "precision": precision}
    for name, value in (("init", init), ("optimizer_of", optimizer_of)):
        if not callable(value):
            raise ArgumentTypeError(f"{name} must be a function, found {type(value).__name__}")

    def begun(params: Any, key: Any, rate: Any) -> State:
        return init_state(params, optimizer_of(rate), key, ema=ema is not None)

    def member(rate: Any, state: State, batch: Any) -> Any:
        return make_train_step(loss, optimizer_of(rate), **options)(state, batch)

    def grid(state: State, window: Any, batch: Any) -> Any:
        state, metrics = jax.vmap(member, in_axes=(0, 0, None))(rates, state, batch)
        return state, reports.added(window, state, metrics)

    # Made as for a single run, not by vmap, so that members start from the same bits.
    params = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), each, 0), *map(init, keys[::each]))
    state, window, fresh = jax.jit(jax.vmap(begun))(params, keys, rates), None, None
    program, flying = jax.jit(grid, donate_argnums=0), deque[Any]()
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(contextlib.closing(Progress(0, steps))) if progress else None
        batches = stack.enter_context(contextlib.closing(feed(source, 0, steps, None)))
        told = Reports(None, line, None)
        for done, batch in enumerate(batches, 1):
            if window is None:
                metrics = jax.eval_shape(jax.vmap(member, in_axes=(0, 0, None)), rates, state, batch)[1]
                window = fresh = reports.empty(metrics, state)
            state, window = program(state, window, batch)
            told.read(state)
            flying.append(window.longest)
            if len(flying) > AHEAD:
                flying.popleft().block_until_ready()
            if done % every == 0 or done == steps:
                told.later(done, window, partial=done % every != 0)
                window = fresh
        told.read(state)

    def shaped(leaf: Any) -> Any:
        return leaf.reshape(len(seeds), len(learning_rates), *leaf.shape[1:]) if hasattr(leaf, "reshape") else leaf

    history = [{name: shaped(value) for name, value in row.items()} for row in told.history]
    return Sweep(jax.tree.map(shaped, state), history)


def _listed(name: str, values: Any, example: str) -> list[Any]:
    try:
        if not isinstance(values, (str, bytes)):
            return list(values)
    except TypeError:
        pass
    one = f" For a single one write [{values!r}]" if isinstance(values, (int, float)) else ""
    raise ArgumentTypeError(f"{name} must be a sequence of numbers, such as {example}, found {values!r}.{one}")


def _members(seeds: Sequence[int], rates: Sequence[float]) -> tuple[jax.Array, jax.Array]:
    """Key and learning rate of each member, rates running faster."""
    if len(seeds) == 0 or len(rates) == 0:
        raise ArgumentError(f"seeds and learning_rates must hold one each, found {seeds!r} and {rates!r}")
    numbers = [key_number("seeds", seed) for seed in seeds]
    if not all(isinstance(rate, (int, float)) and 0 <= rate < float("inf") for rate in rates):
        raise ArgumentError(f"learning_rates must be finite numbers of at least 0, found {rates!r}")
    keys = jax.vmap(jax.random.key)(np.array(numbers, np.uint32))
    return jnp.repeat(keys, len(rates)), jnp.tile(jnp.asarray(rates, jnp.result_type(float)), len(numbers))
