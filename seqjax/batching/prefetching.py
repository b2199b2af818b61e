"""Batches made ahead of time by a thread."""

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from seqjax._internal.types import PyTree
from seqjax._internal.validation import whole_number
from seqjax.batching.source import Batches
from seqjax.errors import ArgumentError, ArgumentTypeError


def prefetch(
    source: Batches, start: int, stop: int, *, depth: int = 2, transfer: Callable[[PyTree], PyTree] | None = None
) -> "Prefetcher":
    """`source.batch(step)` for the steps from `start` to `stop`, in order, made by a thread ahead of their use.

    The thread begins with the first batch that is asked for. It ends with the loop, however that ends; where the
    iterator outlives its loop, `.close()` ends it.

    >>> from seqjax.batching import Stream
    >>> source = Stream(range(100), batch_size=2, length=5)
    >>> for batch in prefetch(source, start=0, stop=3):
    ...     print(batch.inputs[0])
    [0 1 2 3 4]
    [5 6 7 8 9]
    [10 11 12 13 14]

    Args:
        source: a `Source`, or anything else with `batch(step)`.
        start, stop: the first step, and the one after the last.
        depth: batches made ahead.
        transfer: applied to each batch in the thread, such as `to_devices`.

    Raises:
        ArgumentError, ArgumentTypeError: steps, depth, transfer or source that cannot be right. What goes wrong in the
            thread is raised in the loop, at its batch, with the traceback of where it went wrong.
    """
    start, stop, depth = whole_number("start", start), whole_number("stop", stop), whole_number("depth", depth, 1)
    if stop < start:
        raise ArgumentError(f"stop must be at least start, found steps {start} to {stop}. Pass the step to end at")
    if transfer is not None and not callable(transfer):
        raise ArgumentTypeError(f"transfer must be a function of a batch, found {type(transfer).__name__}")
    if not callable(getattr(source, "batch", None)):
        raise ArgumentTypeError(f"source must have a method batch(step), found {type(source).__name__}")
    make = source.batch if transfer is None else _compose(source.batch, transfer)
    return Prefetcher(make, iter(range(start, stop)), depth)


def _compose(batch: Callable[[int], PyTree], transfer: Callable[[PyTree], PyTree]) -> Callable[[int], PyTree]:
    import jax

    wide = jax.dtypes.canonicalize_dtype(float) == "float64"  # it may hold for this thread alone

    def make(step: int) -> PyTree:
        with jax.enable_x64(wide):
            return transfer(batch(step))

    return make


class Prefetcher:
    """An iterator over batches that a thread makes; what `prefetch` gives."""

    def __init__(self, make: Callable[[int], PyTree], steps: Iterator[int], depth: int) -> None:
        self._make, self._steps, self._depth = make, steps, depth
        self._pool = ThreadPoolExecutor(1, "seqjax-prefetch")
        self._waiting: deque[Future[PyTree]] = deque()
        self._end = weakref.finalize(self, _end, self._pool, self._waiting)  # called once: by hand, unused, or at exit

    def __iter__(self) -> "Prefetcher":
        return self

    def __next__(self) -> PyTree:
        self._ask()
        if not self._waiting:
            self.close()
            raise StopIteration
        try:
            batch = self._waiting.popleft().result()
        except BaseException:
            self.close()
            raise
        self._ask()
        return batch

    def close(self) -> None:
        """End the thread; there are no more batches."""
        self._end()

    def _ask(self) -> None:
        missing = self._depth - len(self._waiting) if self._end.alive else 0
        self._waiting.extend(self._pool.submit(self._make, step) for step in islice(self._steps, missing))


def _end(pool: ThreadPoolExecutor, waiting: "deque[Future[PyTree]]") -> None:
    waiting.clear()
    pool.shutdown(cancel_futures=True)
