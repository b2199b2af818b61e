"""The cache against lists in plain Python: any masks, resets, cuts, windows and capacities."""

import chex
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attention.cache_reference import Row, numbered, run_chunks

B, T = 2, 7
EACH = list(range(1, T))
flags = lambda: st.lists(st.booleans(), min_size=B * T, max_size=B * T).map(lambda f: np.reshape(f, (B, T)))


def compare(mask, resets, cuts, capacity, window, fresh=False):
    """What each token attends to and what is kept at the end, against `Row`."""
    cache, seen = run_chunks(mask, resets, cuts, capacity, window, fresh)
    for b in range(B):
        row = Row(window)
        for fits, numbers, at in seen:
            for i in range(fits.shape[1]):
                t = row.stream
                want = row.read(mask[b, t], resets[b, t])
                if want is None:
                    continue
                assert at.position[b, i] == row.tokens[-1][0]
                if window is None and row.tokens[-1][0] >= capacity:
                    continue  # overflow: its output is NaN
                found = numbers[b][fits[b, i]]
                assert len(found) == len(want) and set(found) == want
        assert cache.count[b] == len(row.tokens)
        for slot in range(capacity):
            position, number = row.slots(capacity).get(slot, (-1, None))
            k, v = (0, 0) if number is None else numbered(number)
            assert cache.at[b, slot] == position
            assert np.all(cache.k[b, :, slot] == k) and np.all(cache.v[b, :, slot] == v)


@settings(max_examples=100)
@given(
    mask=flags(),
    resets=flags(),
    cuts=st.sampled_from([[], [1], [4], EACH]),
    sizes=st.sampled_from([(4, None), (2, 2), (5, 3)]),
)
def test_what_is_attended_to_and_kept(x64, mask, resets, cuts, sizes):
    compare(mask, resets, cuts, *sizes)


@pytest.mark.parametrize(("capacity", "window"), [(7, None), (1, 1), (9, 4)])
@pytest.mark.parametrize("fresh", [True, False])
def test_neither_mask_nor_resets(x64, capacity, window, fresh):
    mask, resets = np.ones((B, T), bool), np.zeros((B, T), bool)
    for cuts in ([], EACH) if fresh else ([3],):
        compare(mask, resets, cuts, capacity, window, fresh)


@pytest.mark.parametrize("window", [None, 2])
def test_a_fresh_cache_is_not_read(x64, window):
    mask, resets = np.arange(B * T).reshape(B, T) % 4 > 0, np.arange(B * T).reshape(B, T) % 5 == 2
    compare(mask, resets, [4], 4, window, fresh=True)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)], ids=str)
def test_any_batch_axes(x64, shape):
    """Each row is that of a batch of one axis."""
    mask, resets = np.arange(30).reshape(6, 5) % 4 > 0, np.arange(30).reshape(6, 5) % 7 == 3
    rows = int(np.prod(shape))
    want = run_chunks(mask, resets, [2, 3], 3, 2)[0]
    found = run_chunks(mask[:rows].reshape(*shape, 5), resets[:rows].reshape(*shape, 5), [2, 3], 3, 2)[0]
    chex.assert_trees_all_equal(found, jax.tree.map(lambda a: np.reshape(a[:rows], (*shape, *a.shape[1:])), want))
