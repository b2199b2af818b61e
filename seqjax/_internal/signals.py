"""Stopping when asked to."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import jax
import numpy as np

logger = logging.getLogger("seqjax")
_listening: list[threading.Event] = []  # an outer one hears what comes while an inner one listens


@contextlib.contextmanager
def stop_requests(*signals: signal.Signals) -> Iterator[Callable[[bool], bool]]:
    """A function that says whether one of the signals has come since. The former handlers are back afterwards.

    Its argument says whether processes may agree now: where several train together, all of them stop at the first such
    step after one was asked to. Signals reach the main thread alone; in another one the answer is False. Those that
    are ignored, as ^C is by a program in the background, stay so. A second ^C raises KeyboardInterrupt at once.
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
    former: dict[signal.Signals, Any] = {}
    _listening.append(asked)
    try:
        for one in signals:
            if signal.getsignal(one) is not signal.SIG_IGN:
                former[one] = signal.signal(one, _ask_all)
        yield stop
    finally:
        _listening.remove(asked)
        for one, handler in former.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)


def _ask_all(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and any(event.is_set() for event in _listening):
        raise KeyboardInterrupt
    for event in _listening:
        event.set()
    if number == signal.SIGINT:
        logger.warning("stopping after this step; ^C again interrupts at once")
