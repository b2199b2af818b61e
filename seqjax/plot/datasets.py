"""Examples of a data set, drawn as what they are: pictures, texts, piano rolls, series, waves, tracks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seqjax._internal.validation import whole_number
from seqjax.batching.ragged import Ragged
from seqjax.datasets import Dataset, Split, log_mel
from seqjax.plot._style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

    from seqjax.plot._figure import Figure

CHARACTERS = 90


def dataset(data: Dataset, split: str = "train", count: int = 6, seed: int = 0) -> "Figure":
    """Some examples with their targets.

    Args:
        data: from `seqjax.datasets.load`.
        split: "train", "valid" or "test".
        count: how many, at least 1; fewer where there are fewer.
        seed: which; NumPy's Philox generator chooses.

    Examples:
        >>> from seqjax import datasets, plot
        >>> figure = plot.dataset(datasets.load("digits"), "test", count=4)
        >>> len(figure.axes), figure.get_suptitle()
        (4, 'digits (test: 360 examples, 2,880 steps)')
    """
    from seqjax.plot._figure import new_figure

    chosen, count = data[split], whole_number("count", count, 1)
    order = np.random.Generator(np.random.Philox(whole_number("seed", seed))).permutation(len(chosen))[:count]
    panel = _KINDS[data.kind]
    rows, columns = -(-len(order) // panel.columns), min(panel.columns, len(order))
    figure = new_figure(panel.width * columns, 0.5 + panel.height * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, i in zip(axes, order):
        panel.draw(axis, data, chosen, int(i))
        axis.tick_params(labelsize=7)
    for axis in axes[len(order) :]:
        axis.remove()
    figure.suptitle(f"{data.name} ({split}: {len(chosen):,} examples, {chosen.steps:,} steps)", fontsize=10)
    return figure


def _label(data: Dataset, split: Split, i: int) -> str:
    """The target and the group of an example in words."""
    words = []
    if isinstance(split.targets, Ragged):
        if not data.target_names:
            words.append(split.targets.text(i))
    elif split.targets is not None:
        words.append(data.target_names[split.targets[i]])
    if split.groups is not None and data.group_names:
        words.append(f"[{data.group_names[split.groups[i]]}]")
    return " ".join(words)


def _image(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    axis.imshow(split.inputs[i], cmap="gray_r", interpolation="nearest")
    axis.set_title(_label(data, split, i).split(" [")[0][:24], fontsize=7)
    axis.set_axis_off()


def _video(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    axis.imshow(np.concatenate(list(split.inputs[i][::2]), axis=1), cmap="gray")
    axis.set_title("every second frame", fontsize=7)
    axis.set_axis_off()


def _lines(axis: "Axes", texts: list[str], room: int) -> None:
    for row, text in enumerate(texts):
        axis.text(0, -row, text.replace("$", r"\$"), fontsize=7, family="monospace", va="top")
    axis.set_ylim(-room, 0)
    axis.set_xlim(0, 1)
    axis.set_axis_off()


def _text(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    text = split.inputs[i][: 8 * CHARACTERS].tobytes().decode(errors="ignore").replace("\n", "⏎ ")
    cut = [text[k : k + CHARACTERS] for k in range(0, min(len(text), 5 * CHARACTERS), CHARACTERS)]
    label = _label(data, split, i)
    _lines(axis, [*cut, *([f"→ {label}"] if label else [])], room=6)


def _pair(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    _lines(axis, [side.text(i)[: 4 * CHARACTERS // 3] for side in (split.inputs, split.targets)], room=2)


def _tokens(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    words = [data.input_names[t] for t in split.inputs[i][:14]]
    tags = [data.target_names[t] for t in split.targets[i][:14]] if split.targets is not None else [""] * len(words)
    widths = [max(len(a), len(b)) + 1 for a, b in zip(words, tags)]
    rows = ["".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in (words, tags)]
    _lines(axis, [row for row in rows if row.strip()], room=2)


def _glyphs(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    letters = split.inputs[i].reshape(-1, 16, 8)
    axis.imshow(np.concatenate(list(letters), axis=1), cmap="gray_r", interpolation="nearest")
    axis.set_xticks(np.arange(len(letters)) * 8 + 3.5, [data.target_names[t] for t in split.targets[i]])
    axis.set_yticks([])
    axis.set_title(f"[fold {_label(data, split, i)[1:-1]}]", fontsize=7)


def _roll(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    roll = split.inputs[i][:200]
    box = (0, len(roll), 21, 109)
    axis.imshow(roll.T, aspect="auto", origin="lower", cmap="gray_r", interpolation="nearest", extent=box)
    axis.set_ylim(33, 97)
    axis.set_ylabel("MIDI", fontsize=7)


def _curves(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    axis.plot(split.inputs[i], lw=0.8)
    axis.set_title(_label(data, split, i), fontsize=7)
    axis.grid(alpha=0.25)


def _series(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    whole = split.inputs[i]
    window = whole[: min(len(whole), 1000)]
    spread = np.nanstd(window, axis=0)
    for d in range(min(8, len(data.input_names))):
        scaled = (window[:, d] - np.nanmean(window[:, d])) / (spread[d] or 1)
        axis.plot(scaled - 5 * d, lw=0.7, color=COLOURS[d % len(COLOURS)])
    shown = data.input_names[:8]
    axis.set_yticks([-5 * d for d in range(len(shown))], shown)
    axis.set_xlabel("step (first 1,000, each column scaled)", fontsize=7)


def _wave(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    features = log_mel(split.inputs[i])
    axis.imshow(features.T, aspect="auto", origin="lower", cmap="magma")
    axis.set_title(_label(data, split, i), fontsize=7)
    axis.set_ylabel("mel band", fontsize=7)
    axis.set_xlabel("frame of 10 ms", fontsize=7)


def _tracks(axis: "Axes", data: Dataset, split: Split, i: int) -> None:
    axis.add_patch(_rectangle())
    for k in range(i, min(i + 12, len(split))):
        track = split.inputs[k]
        axis.plot(track[:, 0], track[:, 1], lw=1)
        axis.plot(*track[-1, :2], "o", ms=3, color="black")
    axis.set_aspect("equal")
    axis.set_title("twelve in a row, the end as a dot", fontsize=7)


def _rectangle() -> "Rectangle":
    from matplotlib.patches import Rectangle

    return Rectangle((-52.5, -34), 105, 68, fill=False, color="gray", lw=1)


class _Panel(NamedTuple):
    """How many stand beside each other, the size of one in inches, and what draws it."""

    columns: int
    width: float
    height: float
    draw: Callable[["Axes", Dataset, Split, int], None]


_KINDS = {
    "images": _Panel(6, 1.5, 1.5, _image),
    "video": _Panel(1, 10, 1.2, _video),
    "text": _Panel(1, 8, 1.1, _text),
    "pairs": _Panel(1, 8, 0.45, _pair),
    "tokens": _Panel(1, 9, 0.5, _tokens),
    "glyphs": _Panel(2, 4.5, 1.2, _glyphs),
    "rolls": _Panel(2, 4.5, 1.6, _roll),
    "curves": _Panel(3, 3, 1.7, _curves),
    "series": _Panel(1, 9, 5, _series),
    "waves": _Panel(3, 3, 1.9, _wave),
    "tracks": _Panel(2, 4.5, 3.1, _tracks),
}
