"""The same batches through Grain."""

from typing import Any

from seqjax._internal.validation import whole_number
from seqjax.errors import DataError


def grain_source(source: Any, stop: int) -> Any:
    """A `grain.MapDataset` whose element `step` is `source.batch(step)`, for 0 ... stop - 1.

    Order, shuffling and epochs are the source's; do not shuffle again. For Grain's workers, mixing and iterators with
    a state to save: `iter(grain_source(source, stop).to_iter_dataset())`.

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

    def __init__(self, source: Any, stop: int) -> None:
        self._source, self._stop = source, stop

    def __len__(self) -> int:
        return self._stop

    def __getitem__(self, step: int) -> Any:
        return self._source.batch(step)
