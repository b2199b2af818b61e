"""Real data by name: fetched once, checked, kept; then offline.

`load(name)` looks in the cache (`SEQJAX_CACHE`, else the user's cache folder), then for the original in the folder
`SEQJAX_DATA`, then fetches it.
"""

from collections.abc import Callable

from seqjax.datasets import digits, shakespeare
from seqjax.datasets.digits import LabelledSequences
from seqjax.datasets.shakespeare import Text
from seqjax.errors import ArgumentError, closest

_LOADERS: dict[str, Callable[[], Text | LabelledSequences]] = {"digits": digits.load, "shakespeare": shakespeare.load}


def load(name: str) -> Text | LabelledSequences:
    """The data set called `name`: "shakespeare" (text) or "digits" (pixel sequences).

    Raises:
        ArgumentError: there is none of this name.
        DataError: it is damaged, or cannot be fetched; the message says what to do.
    """
    if name not in _LOADERS:
        raise ArgumentError(f"data set {name!r} is not known.{closest(str(name), _LOADERS)}")
    return _LOADERS[name]()


__all__ = ["LabelledSequences", "Text", "load"]
