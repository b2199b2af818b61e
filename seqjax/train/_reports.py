"""What a training tells: sums of metrics that stay on the device, and the reading of them one step late."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqjax._internal.progress import Bar
from seqjax._internal.types import Array, Int, PyTree
from seqjax.errors import ArgumentError
from seqjax.train._skips import name_skip
from seqjax.train._writer import Writer
from seqjax.train.log import Row
from seqjax.train.mean import Mean
from seqjax.train.state import State

logger = logging.getLogger("seqjax")


class Window(NamedTuple):
    """Metrics summed over the steps since the last report, and the longest row of skipped steps so far."""

    metrics: dict[str, Mean]
    longest: Int[Array, "..."]


def empty_window(metrics: PyTree, state: State) -> Window:
    """No steps yet. metrics: arrays, or their shapes and dtypes."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), metrics)
    return Window(zeros, jnp.copy(state.skipped.longest))


def add_step(window: Window, state: State, metrics: dict[str, Mean]) -> Window:
    """The window with one more step."""
    both = {name: window.metrics[name] + mean for name, mean in metrics.items()}
    # The same dtypes turn by turn, so that there is one program.
    both = jax.tree.map(lambda new, old: new.astype(old.dtype), both, window.metrics)
    return Window(both, state.skipped.longest)


def sums_of(window: Window) -> dict[str, list[float]]:
    """Total and count of each metric, for a checkpoint: a float of Python holds every bit of them."""
    return {name: [float(part) for part in mean] for name, mean in jax.device_get(window.metrics).items()}


def with_sums(window: Window, sums: dict[str, list[float]]) -> Window:
    """An empty window filled from what `sums_of` gave; a metric that was not there before begins anew."""
    metrics = {
        name: Mean(*(jnp.asarray(number, part.dtype) for number, part in zip(sums[name], mean)))
        if name in sums
        else mean
        for name, mean in window.metrics.items()
    }
    return window._replace(metrics=metrics)


class Reports:
    """Rows for the log, the bar and the history; and what is said of steps that were skipped.

    Args:
        writer: of the log, or None.
        bar: shows the latest values.
        max_skips: so many skipped steps in a row are an error.
        hint: says of a step why it may have been skipped. Without it nothing is said of skipped steps.
    """

    def __init__(
        self, writer: Writer | None, bar: Bar, max_skips: int = 0, hint: Callable[[int], str] | None = None
    ) -> None:
        self.history: list[Row] = list(writer.rows) if writer else []
        self._writer, self._bar, self._max_skips, self._hint = writer, bar, max_skips, hint
        self._waiting: tuple[int, Window, bool] | None = None
        self._warned = False

    def defer(self, step: int, window: Window, partial: bool = False) -> None:
        """Report a window once the device has the next step to work on."""
        self._waiting = (step, window, partial)

    def read(self, state: State) -> None:
        """Report what waits.

        Raises:
            ArgumentError: too many steps in a row were skipped.
        """
        if self._waiting is None:
            return
        (step, window, partial), self._waiting = self._waiting, None
        metrics, _ = jax.device_get(window)
        if self._hint is not None and metrics["skipped"].total > 0:
            self._warn(state, self._hint)
        self.check(window.longest, state)
        values = {name: _mean(metrics[name]) for name in sorted(metrics, key=lambda name: (name != "loss", name))}
        self._write({"step": step, "time": time.time()} | values | ({"partial": True} if partial else {}))

    def add_evaluation(self, step: int, values: dict[str, float]) -> None:
        """Report what an evaluation gave."""
        self._write({"step": step, "time": time.time()} | {f"evaluation/{name}": v for name, v in values.items()})

    def check(self, longest: Int[Array, "..."], state: State) -> None:
        """Whether the longest row of skipped steps is one to go on with.

        Raises:
            ArgumentError: it has reached `max_skips`.
        """
        if self._hint is None or int(longest) < self._max_skips:
            return
        step = int(state.skipped.step)
        raise ArgumentError(
            f"{int(longest)} steps in a row were skipped (max_skips is {self._max_skips}): in the latest, step {step}, "
            f"there was NaN or inf in {name_skip(state)}. The parameters are those of before.{self._hint(step)} "
            "A learning rate too high, no clip=, or NaN in the data? `jax_debug_nans` finds the operation"
        )

    def _warn(self, state: State, hint: Callable[[int], str]) -> None:
        """Once, so that a training that stands still is noticed long before `max_skips`, or where that is large."""
        if not self._warned:
            step = int(state.skipped.step)
            logger.warning(
                "step %d was skipped (%d up to now): NaN or inf in %s.%s Later ones are counted in silence",
                *(step, int(state.skipped.in_all), name_skip(state), hint(step)),
            )
        self._warned = True

    def _write(self, row: Row) -> None:
        self.history.append(row)
        if self._writer is not None:
            self._writer.write(row)
        self._bar.update(row["step"], {k: v for k, v in row.items() if k != "time"})


def _mean(mean: Mean) -> float | np.ndarray:
    """A float, or an array where there are axes; NaN where every step was skipped."""
    total, count = (np.asarray(part, np.float64) for part in mean)
    value = np.where(count == 0, np.nan, total) / np.where(count == 0, 1, count)
    return float(value) if value.ndim == 0 else value
