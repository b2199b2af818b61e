"""The cache against lists in plain Python: any masks, resets, cuts, windows and capacities."""

import chex
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attention.cache_reference import Row, numbered, run_chunks

B, T = 2, 7
flags = lambda: st.lists(st.booleans(), min_size=B * T, max_size=B * T).map(lambda f: np.reshape(f, (B, T)))


@settings(max_examples=60)
@given(
    mask=st.one_of(st.just(np.ones((B, T), bool)), flags()),
    resets=st.one_of(st.just(np.zeros((B, T), bool)), flags()),
    cuts=st.sampled_from([[], [1], [3], [1, 2], [2, 6], [1, 2, 3, 4, 5, 6]]),
    sizes=st.sampled_from([(7, None), (4, None), (2, 2), (5, 2), (4, 3), (1, 1), (9, 4)]),
    fresh=st.booleans(),
)
def test_what_is_attended_to_and_kept(x64, mask, resets, cuts, sizes, fresh):
    capacity, window = sizes
    cache, seen = run_chunks(mask, resets, cuts, capacity, window, fresh)
    for b in range(B):
        row, t = Row(window), 0
        for fits, numbers, at in seen:
            for i in range(fits.shape[1]):
                want = row.read(mask[b, t], resets[b, t])
                t += 1
                if want is None:
                    continue
                assert at.position[b, i] == row.tokens[-1][0]
                if window is None and row.tokens[-1][0] >= capacity:
                    continue  # overflow: its output is NaN
                found = numbers[b][fits[b, i]]
                assert len(found) == len(want) and set(found) == want
        held = row.slots(capacity)
        assert cache.count[b] == len(row.tokens)
        for slot in range(capacity):
            position, number = held.get(slot, (-1, None))
            k, v = (0, 0) if number is None else numbered(number)
            assert cache.at[b, slot] == position
            assert np.all(cache.k[b, slot] == k) and np.all(cache.v[b, slot] == v)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)], ids=str)
def test_any_batch_axes(x64, shape):
    """Each row is that of a batch of one axis."""
    mask, resets = np.arange(30).reshape(6, 5) % 4 > 0, np.arange(30).reshape(6, 5) % 7 == 3
    rows = int(np.prod(shape))
    want = run_chunks(mask, resets, [2, 3], 3, 2)[0]
    found = run_chunks(mask[:rows].reshape(*shape, 5), resets[:rows].reshape(*shape, 5), [2, 3], 3, 2)[0]
    chex.assert_trees_all_equal(found, jax.tree.map(lambda a: a[:rows].reshape(*shape, *a.shape[1:]), want))
