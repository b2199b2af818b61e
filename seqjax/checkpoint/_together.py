"""Several processes that do one thing: each learns what became of the others."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from seqjax.errors import DataError


def is_first() -> bool:
    """Whether this is the process that names, moves and deletes."""
    return jax.process_index() == 0


def from_first(value: list[int]) -> list[int]:
    """Whole numbers below 2**31 as the first process has them."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return [int(x) for x in np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(value, np.int32)))]


def together(work: Callable[[], Any], first: bool = False) -> None:
    """Do `work` on every process, or on the first alone, and go on when all are done.

    Raises:
        DataError: it failed on another process. Where it failed here, its own error.
    """
    error = None
    if is_first() or not first:
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
