"""Real data by name: fetched once, checked, kept; then offline.

`load("mnist").train` has inputs, targets and, where known, groups; `python -m seqjax.datasets` lists what there is.
A new data set is an `Entry` in a file of `families/` (a new file is named in that folder's list): what is fetched,
how it is read, what it must turn out to be, and what is published of it. One of one's own is an `Entry` in one's own
file, and `load(entry)`.
"""

from seqjax.datasets.catalogue import Dataset, find, load, names
from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.families.video import moving_digits
from seqjax.datasets.features import log_mel, permute, pixels, vectors
from seqjax.datasets.fetch.addresses import Url
from seqjax.datasets.fetch.origins import LocalFile, Original

__all__ = [
    "Content",
    "Dataset",
    "Entry",
    "LocalFile",
    "Original",
    "Split",
    "Url",
    "find",
    "load",
    "log_mel",
    "moving_digits",
    "names",
    "permute",
    "pixels",
    "vectors",
]
