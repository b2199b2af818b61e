"""An example batch of a synthetic task."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from seqjax._internal.validation import key_number
from seqjax.errors import ArgumentTypeError
from seqjax.plot._style import COLOURS
from seqjax.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seqjax.plot._figure import Figure

WRITTEN = 64  # steps that still leave room for the number of a token


def task(given: Task, length: int | None = None, batch_size: int = 3, seed: int = 0) -> "Figure":
    """Sequences of a task, one below the other: inputs, and the targets where they count.

    Tokens are coloured cells with their ids; numbers are lines, with dots where a target counts.

    Args:
        given: as `seqjax.tasks.adding`.
        length: T; by default 24, or half more than the least that the task can have.
        batch_size: how many sequences.
        seed: of the key.

    Raises:
        ArgumentTypeError: no task.

    Examples:
        >>> from seqjax import plot, tasks
        >>> figure = plot.task(tasks.reverse, length=8, batch_size=2)
        >>> [axis.get_xlabel() for axis in figure.axes]
        ['', 'step']
    """
    from seqjax.plot._figure import new_figure

    if not isinstance(given, Task):
        slip = f". Write tasks.find({given!r})" if isinstance(given, str) else ""
        raise ArgumentTypeError(f"given must be a task such as tasks.adding, found {given!r}{slip}")
    length = length or max(24, given.min_length * 3 // 2)
    batch = given.sample(jax.random.key(key_number("seed", seed)), batch_size, length)
    inputs, targets, weights, lengths = (np.asarray(part) for part in batch)
    figure = new_figure(9, 0.8 + 1.1 * batch_size)
    axes = figure.subplots(batch_size, 1, squeeze=False)[:, 0]
    for b, axis in enumerate(axes):
        n = int(lengths[b])
        if given.vocabulary:
            _tokens(axis, inputs[b, :n], targets[b, :n], weights[b, :n], given)
        else:
            _numbers(axis, inputs[b, :n], targets[b, :n], weights[b, :n])
    axes[-1].set_xlabel("step")
    baseline = given.baseline(inputs.shape[1])
    figure.suptitle(f"{given.name}: {given!r}   baseline {baseline:.4g} ({given.score_name})", fontsize=10)
    return figure


def _tokens(axis: "Axes", inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray, given: Task) -> None:
    """Two rows of cells: the input ids, and the classes to be given where they count."""
    classes = targets.ndim == 1
    rows = [inputs, np.where(weights, targets, -1)] if classes else [inputs]
    size = max(given.vocabulary, given.out_features)  # one palette, as answers are often the inputs' own tokens
    colours = np.ones((len(rows), len(inputs), 4))
    for i, row in enumerate(rows):
        colours[i, row >= 0] = _palette(row[row >= 0], size)
        for place in np.flatnonzero(row >= 0) if len(inputs) <= WRITTEN else ():
            axis.text(float(place), i, row[place], ha="center", va="center", fontsize=7)
    axis.imshow(colours, aspect="auto", interpolation="nearest")
    axis.set_yticks(range(len(rows)), ["input", "target"][: len(rows)], fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    for t in range(1, len(inputs)):
        axis.axvline(t - 0.5, color="white", lw=0.5)
    axis.axhline(0.5, color="white", lw=2)
    axis.spines[:].set_visible(False)


def _palette(ids: np.ndarray, size: int) -> np.ndarray:
    from matplotlib import colormaps

    if size <= 9:
        return np.asarray(colormaps["Pastel1"](ids))
    return 0.5 + 0.5 * np.asarray(colormaps["rainbow"](ids / size))


def _numbers(axis: "Axes", inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
    """The features as lines; targets as dots, or as words where they are classes."""
    for d in range(inputs.shape[1]):
        axis.plot(inputs[:, d], color=COLOURS[d], lw=1.2, drawstyle="steps-mid" if inputs.shape[1] == 2 else "default")
    at = np.flatnonzero(weights)
    if targets.ndim == 1:
        for t in at:
            axis.annotate(f"class {targets[t]}", (t, 0), fontsize=8, ha="right", weight="bold")
    else:
        for f in range(targets.shape[1]):
            colour = COLOURS[f] if targets.shape[1] == inputs.shape[1] else COLOURS[3]
            axis.plot(at, targets[at, f], "o", ms=4, mfc="none", color=colour)
    axis.tick_params(labelsize=7)
    axis.margins(x=0.02)
    axis.grid(alpha=0.25)
