"""Scores over a whole data set, exact whatever the batches; and what a training does with them."""

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from seqjax._internal.types import Array, Float, Key, PyTree
from seqjax._internal.validation import real_number, true_or_false, whole_number
from seqjax.batching.source import Batches
from seqjax.errors import ArgumentError, ArgumentTypeError, closest
from seqjax.train._feed import AHEAD, check_mesh, feed
from seqjax.train._loss import RESERVED
from seqjax.train.mean import Mean


@dataclass(frozen=True)
class Evaluation:
    """How `fit` evaluates: the parameters of the best evaluation are the ones that it returns.

    Args:
        function: of the parameters (the average, where the step keeps one); it returns a dict of floats, such as
            `lambda params: train.evaluate(score, params, validation)`. The parameters given to it may be gone
            afterwards: they are not to be kept.
        every: steps from evaluation to evaluation; those from report to report where None.
        metric: the name of the value in that dict which decides what is best.
        higher_is_better: which way it goes.
        patience: stop after this many evaluations in a row without a better value.
        target: stop at the first evaluation whose value is as good as this.

    Raises:
        ArgumentError, ArgumentTypeError: an option that cannot be right.

    Examples:
        >>> from seqjax import train
        >>> evaluation = train.Evaluation(lambda params: {"accuracy": params["w"]}, metric="accuracy",
        ...                               higher_is_better=True, patience=3, target=0.99)
        >>> evaluation.measure({"w": 0.5}), evaluation.is_better(0.5, best=0.4)
        ({'accuracy': 0.5}, True)
        >>> evaluation.reason_to_stop(best=0.5, waited=3)
        'patience'
    """

    function: Callable[[PyTree], dict[str, Any]]
    _: KW_ONLY
    every: int | None = None
    metric: str = "loss"
    higher_is_better: bool = False
    patience: int | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ArgumentTypeError(
                f"evaluation: function must be one of the parameters, found {type(self.function).__name__}. "
                "Write Evaluation(lambda params: train.evaluate(score, params, validation))"
            )
        for name in ("every", "patience"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name), 1)
        if not isinstance(self.metric, str):
            raise ArgumentTypeError(f"metric must be the name of a value, found {self.metric!r}")
        true_or_false("higher_is_better", self.higher_is_better)
        if self.target is not None:
            object.__setattr__(self, "target", real_number("target", self.target))
            if self.target != self.target:
                raise ArgumentError("target must be a number, found nan")

    def measure(self, params: PyTree) -> dict[str, float]:
        """The values of an evaluation.

        Raises:
            ArgumentError, ArgumentTypeError: not a dict of numbers with the metric that decides.
        """
        values = self.function(params)
        if not isinstance(values, dict):
            raise ArgumentTypeError(f"evaluation must return a dict of floats by name, found {type(values).__name__}")
        if self.metric not in values:
            raise ArgumentError(
                f"metric must name a value that the evaluation returns, found {self.metric!r}."
                f"{closest(self.metric, values)}"
            )
        try:
            return {name: float(value) for name, value in values.items()}
        except (TypeError, ValueError):
            raise ArgumentTypeError(f"evaluation must return a dict of floats by name, found {values!r}") from None

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value is the best so far; NaN never is."""
        if value != value or best is None:
            return value == value
        return value > best if self.higher_is_better else value < best

    def reason_to_stop(self, best: float | None, waited: int) -> str:
        """Why there is no need to go on after `waited` evaluations without a better one: "" where there is."""
        if self.target is not None and best is not None and not self.is_better(self.target, best):
            return "target"
        return "patience" if self.patience is not None and waited >= self.patience else ""


def evaluate(
    score: Callable[..., PyTree],
    params: PyTree,
    source: Batches,
    steps: int | None = None,
    *,
    carry: Callable[[PyTree, Key[Array, ""]], PyTree] | None = None,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Means over one epoch of a source: each example counts once, however it was batched and padded.

    Sums are taken in float64. `score` is compiled once, as long as it is one and the same function.

    Args:
        score: a loss as for `make_train_step`, a function of (params, batch, key) with None as the key. It returns a
            `Mean`, or that and a dict of them. Their leaves may have axes, as those of `jax.vmap`.
        params: what the score takes.
        source: with `batch(step)`.
        steps: batches to go through, from batch 0; those of an epoch, `source.steps_per_epoch`, where None.
        carry: for streams, as in `make_train_step`: the score takes a carry as its fourth argument and returns
            (mean, carry) or (mean, carry, dict). It begins anew where `source.starts(step)`.
        mesh: divide the rows along the first axis of this mesh.

    Returns:
        By name the means, "loss" for the first: floats, or float64 arrays where leaves have axes.

    Raises:
        ArgumentError, ArgumentTypeError: no `Mean` (means of batches of unequal size cannot be merged), or a mean of
            nothing.

    Examples:
        >>> import numpy as np
        >>> from seqjax import batching, train
        >>> source = batching.Shuffled(np.ones((5, 1, 1)), np.arange(5.0), 2)  # batches of 2, 2 and 1
        >>> def score(params, batch, key):
        ...     return train.Mean.of((params["w"] - batch.targets) ** 2, batch.weights)
        >>> train.evaluate(score, {"w": 2.0}, source)  # (4 + 1 + 0 + 1 + 4) / 5
        {'loss': 2.0}
    """
    check_mesh(mesh)
    if steps is None and not hasattr(source, "steps_per_epoch"):
        raise ArgumentError(f"steps must be given, as {type(source).__name__} has no steps_per_epoch")
    if carry is not None and not callable(getattr(source, "starts", None)):
        raise ArgumentTypeError(f"a carry needs a source with starts(step), as Stream; found {type(source).__name__}")
    steps = whole_number("steps", getattr(source, "steps_per_epoch", None) if steps is None else steps, 1)
    sums: dict[str, Mean] = {}
    program, in_flight, after = jax.jit(score), deque[dict[str, Mean]](), None
    with contextlib.closing(feed(source, 0, steps, mesh)) as batches:
        for step, batch in enumerate(batches):
            if carry is None:
                in_flight.append(_named(program(params, batch, None)))
            else:
                before = carry(params, jax.random.key(0)) if source.starts(step) else after  # type: ignore[attr-defined]
                result = program(params, batch, None, before)
                after = result[1] if isinstance(result, tuple) and len(result) > 1 else None
                in_flight.append(_named((result[0], *result[2:])))
            if len(in_flight) > AHEAD:
                _add(sums, in_flight.popleft())
    while in_flight:
        _add(sums, in_flight.popleft())
    names = sorted(sums, key=lambda name: name != "loss")  # jit gives them in the order of the alphabet
    return {name: _value(name, sums[name]) for name in names}


def _named(result: PyTree) -> dict[str, Mean]:
    """The loss and the metrics by name.

    Raises:
        ArgumentError, ArgumentTypeError: one is no `Mean`, or has a name that is taken.
    """
    alone = isinstance(result, Mean) or not isinstance(result, tuple)
    first, *rest = (result,) if alone else result
    if rest and not (len(rest) == 1 and isinstance(rest[0], dict)):
        raise ArgumentTypeError(
            f"score must return a Mean, or (Mean, dict), found {len(rest) + 1} values. One with a carry? Pass carry="
        )
    named = rest[0] if rest else {}
    if taken := sorted(set(named) & set(RESERVED)):  # as in a step, so that one function serves both
        raise ArgumentError(f"score returned a metric named {taken[0]!r}, which is the name of another. Rename it")
    metrics = {"loss": first} | named
    for name, mean in metrics.items():
        if not isinstance(mean, Mean):
            raise ArgumentTypeError(
                f"score must return a Mean for {name!r}, found {type(mean).__name__}. "
                "The mean of a batch cannot be merged with that of a smaller one; return Mean.of(values, weights)"
            )
    return metrics


def _add(sums: dict[str, Mean], metrics: dict[str, Mean]) -> None:
    for name, mean in jax.device_get(metrics).items():
        part = Mean(*(np.asarray(leaf, np.float64) for leaf in mean))
        sums[name] = sums[name] + part if name in sums else part


def _value(name: str, mean: Mean) -> float | Float[np.ndarray, "..."]:
    if np.any(mean.count == 0):
        raise ArgumentError(f"score: nothing counts for {name!r} in the whole of the source. Weights that are all 0?")
    value = mean.total / mean.count
    return float(value) if np.ndim(value) == 0 else value
