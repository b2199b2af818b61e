"""The same batches through Grain."""

import sys

import pytest

from seqjax.batching import grain_source
from seqjax.batching.batch import Batch
from seqjax.errors import DataError
from tests.batching.makers import every_source, same


@pytest.mark.parametrize("name", ["buckets", "stream"])
def test_grain_gives_the_same_batches_and_resumes(name):
    pytest.importorskip("grain", reason="grain, of seqjax[grain], is not installed")
    source = every_source()[name]
    stop = 2 * source.steps_per_epoch
    data = grain_source(source, stop)
    assert len(data) == stop
    iterator = iter(data.to_iter_dataset())
    found, state = [], None
    for step in range(stop):
        if step == 3:
            state = iterator.get_state()
        found.append(next(iterator))
        assert isinstance(found[-1], Batch)
        same(found[-1], source.batch(step))
    assert list(iterator) == []
    again = iter(data.to_iter_dataset())
    again.set_state(state)
    rest = list(again)
    assert len(rest) == stop - 3
    for batch, wanted in zip(rest, found[3:]):
        same(batch, wanted)


def test_a_missing_grain_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(DataError, match=r"pip install 'seqjax\[grain\]'"):
        grain_source(every_source()["stream"], 3)
