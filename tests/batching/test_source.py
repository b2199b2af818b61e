"""Any step can be had in any process, at once and again."""

import pickle

import jax
import numpy as np
import pytest

from seqjax.batching import shard
from tests.batching.makers import every_source, same


@pytest.mark.parametrize("name", every_source())
def test_any_step_can_be_had_at_once_and_again(name):
    source, fresh = every_source()[name], pickle.loads(pickle.dumps(every_source()[name]))
    steps = 3 * source.steps_per_epoch + 1
    run = [source.batch(step) for step in range(steps)]
    for step in np.random.default_rng(0).permutation(steps):
        same(fresh.batch(int(step)), run[step])
        same(fresh.batch(np.int32(step)), run[step])
    assert len(pickle.dumps(fresh)) == len(pickle.dumps(every_source()[name]))  # without the order of an epoch
    if name != "stream":
        assert any(not np.array_equal(a.inputs, b.inputs) for a, b in zip(run, run[source.steps_per_epoch :]))


@pytest.mark.parametrize("name", every_source())
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_shares_of_processes_make_the_whole(name, count):
    source = every_source()[name]
    for step in range(source.steps_per_epoch + 1):
        whole = source.batch(step)
        shares = [source.batch(step, index, count) for index in range(count)]
        same(jax.tree.map(lambda *leaves: np.concatenate(leaves), *shares), whole)
        for index, part in enumerate(shares):
            assert len(part.inputs) == 4 // count
            same(part, shard(whole, index, count))
