"""Many trainings as one program: seeds times learning rates."""

import contextlib
import functools
import numbers
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal import progress as progress_bar
from seqjax._internal.progress import Bar
from seqjax._internal.types import Array, Float, Key, PyTree
from seqjax._internal.validation import key_number, real_number, true_or_false, whole_number
from seqjax.batching.source import Batches
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train._feed import AHEAD, feed
from seqjax.train._reports import Reports, Window, add_step, empty_window
from seqjax.train.log import Row
from seqjax.train.mean import Mean
from seqjax.train.state import State
from seqjax.train.step import TrainStep

T = TypeVar("T")
Rate = float | Float[Array, ""]  # traced, in the program of all members


class Sweep(NamedTuple):
    """What `sweep` gives.

    state: a `State` whose leaves have the axes `[seeds, learning rates]` first.
    history: rows as those of `fit`, whose values are float64 arrays `[seeds, learning rates]`; NaN where every step
        was skipped.
    """

    state: State
    history: list[Row]


def sweep(
    make_step: Callable[[Rate], TrainStep],
    init: Callable[[Key[Array, ""]], PyTree],
    source: Batches,
    *,
    seeds: Iterable[int],
    learning_rates: Iterable[float],
    steps: int,
    every: int = 100,
    progress: bool = True,
) -> Sweep:
    """Train a model for each seed and learning rate, all on the same batches, as one program on one device.

    Member [i, j] is what `fit` gives for the step `make_step(learning_rates[j])` and the state that this makes of
    `init(jax.random.key(seeds[i]))` and that same key, up to rounding: a program for many members may sum in another
    order. A member whose steps are skipped stays where it is and disturbs no other.

    Args:
        make_step: makes the step of a learning rate: `lambda rate: make_train_step(loss, optax.adam(rate), clip=1.0)`.
        init: makes parameters of a key, such as `lambda key: model.init(key, 0)`.
        source, steps, every, progress: as in `fit`.
        seeds: whole numbers in [0, 2**32), as range(3).
        learning_rates: numbers.

    Raises:
        ArgumentError, ArgumentTypeError: an argument that cannot be right.

    Examples:
        >>> import jax, numpy as np, optax
        >>> from seqjax import batching, train
        >>> source = batching.Shuffled(np.ones((8, 1, 1)), np.full(8, 3.0), 4)
        >>> def make_step(rate):
        ...     loss = lambda params, batch, key: ((params["w"] - batch.targets) ** 2).mean()
        ...     return train.make_train_step(loss, optax.sgd(rate))
        >>> def init(key):
        ...     return {"w": jax.random.uniform(key)}
        >>> found = train.sweep(make_step, init, source, seeds=range(2), learning_rates=(0.001, 0.1, 0.3), steps=20,
        ...                     progress=False)
        >>> found.state.params["w"].shape  # [seeds, learning rates]
        (2, 3)
        >>> print(found.history[-1]["loss"].argmin(axis=1))  # of each seed the best rate
        [2 2]
    """
    steps, every = whole_number("steps", steps, 1), whole_number("every", every, 1)
    seeds = _list("seeds", seeds, "range(3)")
    learning_rates = _list("learning_rates", learning_rates, "(1e-3, 3e-3)")
    keys, rates = _members(seeds, learning_rates)
    _check(make_step, init, float(learning_rates[0]))
    # Made as for a single run, not by vmap, so that members start from the same bits.
    made = [init(key) for key in keys[:: len(learning_rates)]]
    params = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), len(learning_rates), 0), *made)
    state = jax.jit(jax.vmap(lambda params, key, rate: make_step(rate).init(params, key)))(params, keys, rates)
    shown = progress_bar.bar(steps) if true_or_false("progress", progress) else contextlib.nullcontext(Bar())
    with shown as bar, contextlib.closing(feed(source, 0, steps, None)) as batches:
        state, history = _train(make_step, rates, state, batches, steps, every, Reports(None, bar))

    def to_grid(leaf: PyTree) -> PyTree:
        return leaf.reshape(len(seeds), len(learning_rates), *leaf.shape[1:]) if hasattr(leaf, "reshape") else leaf

    return Sweep(jax.tree.map(to_grid, state), [{name: to_grid(v) for name, v in row.items()} for row in history])


def _train(
    make_step: Callable[[Rate], TrainStep],
    rates: jax.Array,
    state: State,
    batches: Iterable[PyTree],
    steps: int,
    every: int,
    reports: Reports,
) -> tuple[State, list[Row]]:
    """All members, whose axis comes first in the state: the last state, and the rows."""
    each = functools.partial(step_members, make_step, rates)

    def advance(state: State, window: Window, batch: PyTree) -> tuple[State, Window]:
        state, metrics = each(state, batch)
        return state, add_step(window, state, metrics)

    program, in_flight, window, empty = jax.jit(advance, donate_argnums=0), deque[Any](), None, None
    for done, batch in enumerate(batches, 1):
        if window is None:
            window = empty = empty_window(jax.eval_shape(each, state, batch)[1], state)
        state, window = program(state, window, batch)
        reports.read(state)
        in_flight.append(window.longest)
        if len(in_flight) > AHEAD:
            in_flight.popleft().block_until_ready()
        if done % every == 0 or done == steps:
            reports.defer(done, window, partial=done % every != 0)
            window = empty
    reports.read(state)
    return state, reports.history


def step_members(
    make_step: Callable[[Rate], TrainStep], rates: Float[Array, " M"], state: State, batch: PyTree
) -> tuple[State, dict[str, Mean]]:
    """A step of all members, whose axis comes first in the state: on CPUs one after another, elsewhere at once.

    A CPU core has nothing to spare for a second member, and `vmap` makes products with a batch axis on both sides of a
    member's, and chunks that caches do not hold: of the CPU time by `vmap` a loop over 8 members takes 1.08, 0.73,
    0.72, 0.55 (RNN(32), LSTM(32), GRU(32), LSTM(128); `experiments.benchmarks.sweeps`).
    """
    step = lambda rate, state: make_step(rate)(state, batch)
    if jax.default_backend() == "cpu":
        return jax.lax.map(lambda member: step(*member), (rates, state))
    return jax.vmap(step)(rates, state)


def _check(make_step: object, init: object, rate: float) -> None:
    for name, value in (("make_step", make_step), ("init", init)):
        if not callable(value) or isinstance(value, TrainStep):
            slip = " Write lambda rate: make_train_step(loss, optax.adam(rate))" if name == "make_step" else ""
            raise ArgumentTypeError(f"{name} must be a function, found {type(value).__name__}.{slip}")
    step = make_step(rate)  # type: ignore[operator]
    if not isinstance(step, TrainStep):
        raise ArgumentTypeError(f"make_step must return what make_train_step does, found {type(step).__name__}")
    if step.carry is not None:
        raise ArgumentError("make_step made a step with a carry; a sweep hands none on. Train its members one by one")


def _list(name: str, values: Iterable[T], example: str) -> list[T]:
    try:
        if not isinstance(values, (str, bytes)):
            return list(values)
    except TypeError:
        pass
    one = f" For a single one write [{values!r}]" if isinstance(values, numbers.Real) else ""
    raise ArgumentTypeError(f"{name} must be a sequence of numbers, such as {example}, found {values!r}.{one}")


def _members(seeds: Sequence[int], rates: Sequence[float]) -> tuple[jax.Array, jax.Array]:
    """Key and learning rate of each member, rates running faster."""
    if len(seeds) == 0 or len(rates) == 0:
        raise ArgumentError(f"seeds and learning_rates must hold one each, found {seeds!r} and {rates!r}")
    numbers = [key_number("seeds", seed) for seed in seeds]
    rates = [real_number("learning_rates", rate) for rate in rates]
    if not all(0 <= rate < float("inf") for rate in rates):
        raise ArgumentError(f"learning_rates must be finite numbers of at least 0, found {rates!r}")
    keys = jax.vmap(jax.random.key)(np.array(numbers, np.uint32))
    return jnp.repeat(keys, len(rates)), jnp.tile(jnp.asarray(rates, jnp.result_type(float)), len(numbers))
