"""Words along an axis, where there is room for them."""

from collections.abc import Sequence

from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator

POINTS = 72  # in an inch
LETTER = 0.62  # width of a letter, of its height
LARGEST, SMALLEST = 8.0, 4.5  # points of a label
LONGEST = 14  # letters of a label


def label_words(axis: Axis, words: Sequence[str] | None, count: int, inches: float) -> None:
    """Words at every place where there is room for lines of them; else the numbers of some steps."""
    room = POINTS * inches / count
    if words is None or room < SMALLEST:
        axis.set_major_locator(MaxNLocator(6, integer=True))
        axis.set_tick_params(labelsize=7, length=2)
        return
    shown = [word if len(word) <= LONGEST else word[: LONGEST - 1] + "…" for word in words]
    turned = axis is axis.axes.xaxis and max(map(len, shown)) > 2
    size = min(LARGEST, 0.9 * room)
    axis.set_ticks(range(count), [visible(word) for word in shown], fontsize=size, rotation=90 if turned else 0)
    axis.set_tick_params(length=0)


def visible(word: str) -> str:
    """A label that can be seen, and that matplotlib does not take for a formula."""
    return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(word, word).replace("$", r"\$")
