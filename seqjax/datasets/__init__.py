"""Real data by name: fetched once, checked, kept; then offline.

`load("mnist").train` has inputs, targets and, where known, groups; `python -m seqjax.datasets` lists what there is.
"""

from seqjax.datasets.catalogue import Dataset, load
from seqjax.datasets.content import Split
from seqjax.datasets.families.video import moving_digits
from seqjax.datasets.features import log_mel, permute, pixels, vectors


def names() -> list[str]:
    """All that `load` knows."""
    from seqjax.datasets.catalogue import CATALOGUE

    return sorted(CATALOGUE)


__all__ = ["Dataset", "Split", "load", "log_mel", "moving_digits", "names", "permute", "pixels", "vectors"]
