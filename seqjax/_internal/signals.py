"""Stopping when asked to."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

_listening: list[threading.Event] = []  # an outer one hears what comes while an inner one listens


@contextlib.contextmanager
def sigterm() -> Iterator[Callable[[bool], bool]]:
    """A function that says whether SIGTERM has come since. The former handler is back afterwards.

    Its argument says whether processes may agree now: where several train together, all of them stop at the first such
    step after one was asked to. Signals reach the main thread alone; in another one the answer is False.
    """
    asked, alone = threading.Event(), jax.process_count() == 1

    def stop(together: bool) -> bool:
        if alone:
            return asked.is_set()
        if not together:
            return False
        from jax.experimental.multihost_utils import process_allgather

        return bool(np.any(process_allgather(np.asarray(asked.is_set()))))

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    _listening.append(asked)

    def heard(*_: Any) -> None:
        for event in _listening:
            event.set()

    former = signal.signal(signal.SIGTERM, heard)
    try:
        yield stop
    finally:
        _listening.remove(asked)
        signal.signal(signal.SIGTERM, signal.SIG_DFL if former is None else former)
