"""The same batches through Grain."""

from typing import TYPE_CHECKING, SupportsIndex

from seqjax._internal.types import PyTree
from seqjax._internal.validation import whole_number
from seqjax.batching.source import Batches
from seqjax.errors import DataError

if TYPE_CHECKING:
    import grain


def grain_source(source: Batches, stop: int) -> "grain.MapDataset":
    """A `grain.MapDataset` whose element `step` is `source.batch(step)`, for 0 ... stop - 1.

    Order, shuffling and epochs are the source's; do not shuffle again. For Grain's workers, mixing and iterators with
    a state to save: `iter(grain_source(source, stop).to_iter_dataset())`.

    >>> from seqjax.batching import Stream
    >>> data = grain_source(Stream(range(100), batch_size=2, length=5), stop=1000)
    >>> data[3].inputs.tolist()
    [[15, 16, 17, 18, 19], [60, 61, 62, 63, 64]]

    Raises:
        DataError: the package `grain` is not installed.
        ArgumentError, ArgumentTypeError: stop is no whole number above 0.
    """
    try:
        import grain
    except ImportError:
        raise DataError("the package grain is not installed: pip install 'seqjax[grain]'") from None
    return grain.MapDataset.source(_Steps(source, whole_number("stop", stop, 1)))


class _Steps:
    """Batches as Grain's random access source."""

    def __init__(self, source: Batches, stop: int) -> None:
        self._source, self._stop = source, stop

    def __len__(self) -> int:
        return self._stop

    def __getitem__(self, step: SupportsIndex) -> PyTree:
        return self._source.batch(int(step))
