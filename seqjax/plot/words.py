"""What happens at each word of a sentence: gates and states, and on which words a prediction rests."""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seqjax._internal.types import Array, Float
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.plot._style import COLOURS

if TYPE_CHECKING:
    from seqjax.plot._figure import Figure

MOST = 2000  # columns of a map: of more steps, means of neighbours
WIDEST = 11.0  # inches
FAINTEST = 0.08  # of the deepest shade: what is below it is left white


def gates(values: Mapping[str, Float[Array, "T F"]], words: Sequence[str] | None = None, title: str = "") -> "Figure":
    """Gates and states of one sequence, unit by unit: a map for each, words from left to right.

    Gates are on a scale of 0 to 1, from dark to light; a value that falls below 0 has one symmetric about it. Of more
    than 2,000 steps means of neighbours are drawn.

    Args:
        values: name -> `[T, F]`: of what `seqjax.trace` sees, as `{"forget gate": seen["0/f"][0]}`.
        words: T of them; steps are numbered where None, or where there is no room.
        title: above the figure.

    Raises:
        ArgumentError, ArgumentTypeError: values that are not by name, or of another shape; words that are not as many.

    Examples:
        >>> import numpy as np
        >>> from seqjax import plot
        >>> forget = np.array([[0.1, 0.9], [0.5, 0.9], [1.0, 0.8]])
        >>> figure = plot.gates({"forget gate": forget}, "the cat sat".split())
        >>> axis, scale = figure.axes
        >>> axis.get_ylabel(), [label.get_text() for label in axis.get_xticklabels()]
        ('unit', ['the', 'cat', 'sat'])
    """
    from seqjax.plot._figure import new_figure
    from seqjax.plot._words import label_words

    maps = {name: _values(name, value, words) for name, value in _by_name(values).items()}
    steps = next(iter(maps.values())).shape[0]
    width = float(np.clip(0.26 * steps, 3.0, WIDEST))
    heights = [float(np.clip(0.05 * value.shape[1], 0.9, 2.4)) for value in maps.values()]
    figure = new_figure(1.6 + width, 1.0 + sum(heights) + 0.4 * len(maps), title)
    axes = list(figure.subplots(len(maps), 1, squeeze=False, sharex=True, height_ratios=heights).ravel())
    for axis, (name, value) in zip(axes, maps.items()):
        signed = bool(np.nanmin(value) < 0)
        top = max(1.0, float(np.nanmax(np.abs(value))))
        place = (-0.5, steps - 0.5, value.shape[1] - 0.5, -0.5)
        image = axis.imshow(
            _means(value).T, cmap="cividis", vmin=-top if signed else 0, vmax=top, extent=place,
            aspect="auto", interpolation="nearest",
        )  # fmt: skip
        axis.set_title(name, fontsize=8, loc="left")
        axis.set_ylabel("unit", fontsize=7)
        axis.tick_params(labelsize=7, length=2)
        axis.locator_params(axis="y", nbins=4, integer=True)
        figure.colorbar(image, ax=axis, pad=0.01, aspect=12).ax.tick_params(labelsize=6)
    label_words(axes[-1].xaxis, words, steps, width)
    axes[-1].set_xlabel("step" if words is None else "", fontsize=8)
    return figure


def saliency(words: Sequence[str], scores: Float[Array, " T"], title: str = "", *, of: str = "score") -> "Figure":
    """On which words a prediction rests: a bar for each, upwards where the word speaks for it.

    Bars that speak against it are hatched and in another colour, so that they are told apart in grey.

    Args:
        words: T tokens.
        scores: T numbers, as `diagnostics.saliency(...)[0]`; NaN for none.
        title: above the figure.
        of: what the y axis is called, with its unit, as "nats".

    Raises:
        ArgumentError: not as many scores as words.

    Examples:
        >>> from seqjax import plot
        >>> figure = plot.saliency(["not", "bad"], [2.0, -1.0])
        >>> [float(bar.get_height()) for bar in figure.axes[0].patches]
        [2.0, -1.0]
    """
    from seqjax.plot._figure import new_figure, tidy
    from seqjax.plot._words import label_words

    numbers = _scores(words, scores)
    width = float(np.clip(0.3 * len(words), 3.0, WIDEST))
    figure = new_figure(0.8 + width, 2.6, title)
    axis = figure.subplots()
    for sign, colour, hatch in ((1, COLOURS[0], ""), (-1, COLOURS[1], "////")):
        places = np.flatnonzero(np.nan_to_num(numbers) * sign > 0)
        axis.bar(places, numbers[places], color=colour, hatch=hatch, edgecolor="white", lw=0)
    axis.axhline(0, color="black", lw=0.8)
    axis.set_xlim(-0.6, len(words) - 0.4)
    tidy(axis)
    axis.set_ylabel(of, fontsize=8)
    axis.tick_params(labelsize=7)
    label_words(axis.xaxis, words, len(words), width)
    return figure


class ColouredText(NamedTuple):
    """Words and scores, which Jupyter shows as text with a coloured ground; `coloured_text` makes it.

    Blue: the word speaks for the prediction; orange with a line below it: against. The deeper, the more.

    Examples:
        >>> from seqjax import plot
        >>> text = plot.ColouredText(("<b>", "it"), (1.0, 0.0))
        >>> "&lt;b&gt;" in text.to_html(), "<b>" in text.to_html()
        (True, False)
    """

    words: tuple[str, ...]
    scores: tuple[float, ...]

    def to_html(self) -> str:
        """A line of HTML, with everything that is in the words escaped; the pointer shows scores."""
        top = max((abs(score) for score in self.scores if np.isfinite(score)), default=0.0) or 1.0
        return "<p>" + " ".join(_span(word, score, top) for word, score in zip(self.words, self.scores)) + "</p>"

    def _repr_html_(self) -> str:
        return self.to_html()


def coloured_text(words: Sequence[str], scores: Float[Array, " T"]) -> ColouredText:
    """Text whose words are coloured by their scores, as the last line of a cell in Jupyter.

    Args:
        words: T tokens.
        scores: T numbers, as `diagnostics.saliency(...)[0]`; NaN and what is small beside the largest stay white.

    Raises:
        ArgumentError: not as many scores as words.

    Examples:
        >>> from seqjax import plot
        >>> plot.coloured_text(["not", "bad"], [2.0, -1.0]).scores
        (2.0, -1.0)
    """
    return ColouredText(tuple(words), tuple(_scores(words, scores).tolist()))


def _span(word: str, score: float, top: float) -> str:
    share = abs(score) / top if np.isfinite(score) else 0.0
    if share < FAINTEST:
        return f"<span>{html.escape(word)}</span>"
    red, green, blue = (int(COLOURS[score < 0][i : i + 2], 16) for i in (1, 3, 5))
    line = "border-bottom:2px dashed;" if score < 0 else ""
    style = f"background-color:rgba({red},{green},{blue},{0.75 * share:.2f});padding:0 2px;{line}"
    return f'<span style="{style}" title="{score:.3g}">{html.escape(word)}</span>'


def _scores(words: Sequence[str], scores: Float[Array, " T"]) -> Float[np.ndarray, " T"]:
    numbers = np.asarray(scores, float)
    if isinstance(words, str) or numbers.shape != (len(words),):
        found = "one string" if isinstance(words, str) else f"{len(words)} words"
        raise ArgumentError(
            f"scores have shape {numbers.shape} for {found}; expected one for each word. Of a batch? [0]"
        )
    return numbers


def _by_name(values: object) -> Mapping[str, Float[Array, "T F"]]:
    if not isinstance(values, Mapping) or not values:
        raise ArgumentTypeError(f"values must be a dict of name -> [T, F], found {type(values).__name__}")
    return values


def _values(name: str, value: Float[Array, "T F"], words: Sequence[str] | None) -> Float[np.ndarray, "T F"]:
    numbers = np.asarray(value, float)
    if numbers.ndim != 2:
        raise ArgumentError(f"values[{name!r}] has shape {numbers.shape}, expected [T, F]. Of a batch? Write value[0]")
    if words is not None and len(words) != len(numbers):
        raise ArgumentError(f"values[{name!r}] has {len(numbers)} steps, for {len(words)} words")
    return numbers


def _means(value: Float[np.ndarray, "T F"]) -> Float[np.ndarray, "columns F"]:
    """No more than MOST rows, each the mean of neighbours."""
    if len(value) <= MOST:
        return value
    starts = np.linspace(0, len(value), MOST, endpoint=False).astype(int)
    return np.add.reduceat(value, starts, axis=0) / np.diff([*starts, len(value)])[:, None]
