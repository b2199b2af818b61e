"""The errors of the package. Each message names the argument, what was found and what was expected."""

import difflib
from collections.abc import Iterable


class SeqjaxError(Exception):
    """Base of every error that the package raises on purpose."""


class ArgumentError(SeqjaxError, ValueError):
    """A value, shape or option that cannot be right."""


class ArgumentTypeError(SeqjaxError, TypeError):
    """A value of the wrong type or dtype."""


class NotCausalError(SeqjaxError, TypeError):
    """A single step was asked of a cell that must see the whole sequence."""


class DataError(SeqjaxError, OSError):
    """A data set that is missing, damaged or cannot be fetched."""


def closest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name: " Perhaps you meant 'x'?" with the known names after it."""
    names = sorted(known)
    by_lower_case = {known_name.lower(): known_name for known_name in names}  # load("MNIST") means mnist
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    hint = f" Perhaps you meant {by_lower_case[close[0]]!r}?" if close else ""
    return f"{hint} Known: {', '.join(names)}."
