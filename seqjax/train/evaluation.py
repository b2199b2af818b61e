"""Scores over a whole data set, exact whatever the batches."""

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from seqjax._internal.validation import whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train._feed import AHEAD, check_mesh, feed
from seqjax.train.mean import Mean


def evaluate(
    score: Callable[..., Any],
    params: Any,
    source: Any,
    steps: int | None = None,
    *,
    carry: Callable[[Any, Any], Any] | None = None,
    mesh: Any = None,
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
    """
    check_mesh(mesh, None)
    if steps is None and not hasattr(source, "steps_per_epoch"):
        raise ArgumentError(f"steps must be given, as {type(source).__name__} has no steps_per_epoch")
    if carry is not None and not callable(getattr(source, "starts", None)):
        raise ArgumentTypeError(f"a carry needs a source with starts(step), as Stream; found {type(source).__name__}")
    steps = whole_number("steps", source.steps_per_epoch if steps is None else steps, 1)
    sums: dict[str, Mean] = {}
    program, flying, hand = jax.jit(score), deque[Any](), None
    with contextlib.closing(feed(source, 0, steps, mesh)) as batches:
        for step, batch in enumerate(batches):
            if carry is None:
                flying.append(_named(program(params, batch, None)))
            else:
                hand = carry(params, jax.random.key(0)) if source.starts(step) else hand
                result = program(params, batch, None, hand)
                hand = result[1] if isinstance(result, tuple) and len(result) > 1 else None
                flying.append(_named((result[0], *result[2:])))
            if len(flying) > AHEAD:
                _add(sums, flying.popleft())
    while flying:
        _add(sums, flying.popleft())
    return {name: _value(name, mean) for name, mean in sums.items()}


def _named(result: Any) -> dict[str, Mean]:
    """The loss and the metrics by name.

    Raises:
        ArgumentTypeError: one is no `Mean`.
    """
    alone = isinstance(result, Mean) or not isinstance(result, tuple)
    first, *rest = (result,) if alone else result
    if rest and not (len(rest) == 1 and isinstance(rest[0], dict)):
        raise ArgumentTypeError(
            f"score must return a Mean, or (Mean, dict), found {len(rest) + 1} values. One with a carry? Pass carry="
        )
    metrics = {"loss": first} | (rest[0] if rest else {})
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


def _value(name: str, mean: Mean) -> Any:
    if np.any(mean.count == 0):
        raise ArgumentError(f"score: nothing counts for {name!r} in the whole of the source. Weights that are all 0?")
    value = mean.total / mean.count
    return float(value) if np.ndim(value) == 0 else value
