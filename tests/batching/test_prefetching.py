"""Batches made ahead by a thread."""

import subprocess
import sys
import threading
import time
import traceback

import jax
import numpy as np
import pytest

from seqjax.batching import Shuffled, prefetch, to_devices
from tests.batching.makers import every_source, same
from tests.test_style import ROOT


class Counting:
    """A source that records which steps were made."""

    def __init__(self, fails_at=None):
        self.made, self.fails_at = [], fails_at

    def batch(self, step):
        self.made.append(step)
        if step == self.fails_at:
            raise KeyError(f"step {step}")
        return step * 10


def threads():
    return [thread for thread in threading.enumerate() if "prefetch" in thread.name]


@pytest.mark.parametrize("name", every_source())
def test_prefetched_batches_are_the_same(name):
    source = every_source()[name]
    start, stop = 2, 2 * source.steps_per_epoch + 3
    for depth in (1, 3):
        for step, batch in zip(range(start, stop), prefetch(source, start, stop, depth=depth), strict=True):
            same(batch, source.batch(step))
    assert threads() == []
    assert list(prefetch(source, 3, 3)) == []


def test_no_more_is_made_than_asked_for():
    source = Counting()
    batches = prefetch(source, 5, 20, depth=3)
    assert source.made == [] and threads() == []
    assert next(batches) == 50
    assert len(threads()) == 1
    deadline = time.monotonic() + 20
    while len(source.made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)  # long enough for a batch too many
    assert source.made == [5, 6, 7, 8]  # the one in use and three ahead
    batches.close()
    assert threads() == [] and source.made == [5, 6, 7, 8] and list(batches) == []


def test_the_thread_ends_when_the_loop_is_left():
    def leave_by_break():
        for batch in prefetch(Counting(), 0, 100):
            assert batch == 0
            break

    def leave_by_error():
        for batch in prefetch(Counting(), 0, 100):
            raise RuntimeError(batch)

    leave_by_break()
    assert threads() == []
    with pytest.raises(RuntimeError, match="0"):
        leave_by_error()
    assert threads() == []


def test_errors_arrive_at_their_batch_with_their_traceback():
    source, found = Counting(fails_at=3), []
    batches = prefetch(source, 0, 10)
    with pytest.raises(KeyError, match="step 3") as caught:
        found += batches
    assert found == [0, 10, 20] and threads() == [] and list(batches) == []
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "batch" and max(source.made) <= 5


def test_transfer_runs_in_the_thread_at_the_width_of_the_loop(x64):
    where = []

    def transfer(batch):
        where.append(threading.current_thread().name)
        return to_devices(batch)

    source = Shuffled(np.ones((4, 3, 2)), np.ones(4), 2)
    batches = list(prefetch(source, 0, 2, transfer=transfer))
    assert all(isinstance(batch.inputs, jax.Array) and batch.inputs.dtype == np.float64 for batch in batches)
    assert len(where) == 2 and all("prefetch" in name for name in where)


def test_an_iterator_left_open_does_not_keep_the_program_alive():
    code = """
from seqjax.batching import Stream, prefetch
import numpy as np
batches = prefetch(Stream(np.arange(1000), 2, 5), 0, 10**9)
print(next(batches).inputs[0, 0])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "0", "")
