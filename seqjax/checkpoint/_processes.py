"""Several processes that save and read together: each learns what became of the others."""

from collections.abc import Callable

import jax
import numpy as np

from seqjax.errors import DataError


def is_first() -> bool:
    """Whether this is the process that names, moves and deletes."""
    return jax.process_index() == 0


def broadcast_from_first(value: list[int]) -> list[int]:
    """Whole numbers below 2**31 as the first process has them."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return [int(x) for x in np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(value, np.int32)))]


def run_on_first(work: Callable[[], object]) -> None:
    """Do `work` on the first process; all go on when it is done.

    Raises:
        DataError: it failed there. On the first process its own error.
    """
    run_on_all(work if is_first() else lambda: None)


def run_on_all(work: Callable[[], object]) -> None:
    """Do `work` on every process, and go on when all are done.

    An error is raised after all have met, as a process that left early would let the others wait for it forever.

    Raises:
        DataError: it failed on another process. Where it failed here, its own error.
    """
    error = None
    try:
        work()
    except Exception as caught:
        error = caught
    failed = [error is not None]
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        failed = list(np.asarray(multihost_utils.process_allgather(np.asarray(failed[0]))).ravel())
    if error is not None:
        raise error
    if any(failed):
        raise DataError(f"process {failed.index(True)} of {len(failed)} failed, and says why; so this one stops")
