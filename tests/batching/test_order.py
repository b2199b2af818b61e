"""Random order is a function of numbers, and every use has words of its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.batching import Buckets, RandomWindows, Shuffled, Windows, permutation
from tests.batching.makers import inputs_of


def philox(seed, epoch, use, n):
    """Philox4x64-10 (Salmon et al. 2011) in Python's own numbers; the counter is raised before each block."""
    words, full = [], 2**64 - 1
    for block in range(1, n // 4 + 2):
        c, (k0, k1) = [block, 0, 0, use], (seed, epoch)
        for _ in range(10):
            p0, p1 = c[0] * 0xD2E7470EE14C6C93, c[2] * 0xCA5A826395121157
            c = [(p1 >> 64) ^ c[1] ^ k0, p1 & full, (p0 >> 64) ^ c[3] ^ k1, p0 & full]
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) & full, (k1 + 0xBB67AE8584CAA73B) & full
        words += c
    return words[:n]


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.integers(0, 20))
def test_permutation_is_the_order_of_philox(seed, epoch, n):
    words = philox(seed, epoch, 0, n)
    assert permutation(seed, epoch, n).tolist() == sorted(range(n), key=words.__getitem__)


def test_permutations_differ_by_seed_and_epoch():
    orders = {tuple(permutation(seed, epoch, 20)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16 and all(sorted(order) == list(range(20)) for order in orders)


def test_other_random_choices_have_words_of_their_own():
    """The batches of all buckets by use 1, and random places by use 2."""
    made = Buckets(inputs_of(range(1, 11)), list(range(10)), 1, seed=7, buckets=10)
    epoch = [int(made.batch(step).targets[0]) for step in range(20, 30)]
    assert epoch == sorted(range(10), key=philox(7, 2, 1, 10).__getitem__)
    places = RandomWindows(np.arange(30), 6, 4, seed=7).batch(3).inputs[:, 0]
    assert places.tolist() == [word % 26 for word in philox(7, 3, 2, 6)]


LARGE = (0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: Shuffled(np.arange(60).reshape(30, 2), None, 30, seed),
        lambda seed: Buckets(np.arange(60).reshape(30, 2), None, 30, seed, buckets=1),
        lambda seed: RandomWindows(np.arange(1000), 30, 1, seed),
        lambda seed: Windows(np.arange(31.0), 1, 1, batch_size=30, seed=seed),
    ],
    ids=["Shuffled", "Buckets", "RandomWindows", "Windows"],
)
def test_large_seeds_of_orders_are_told_apart(make):
    assert len({make(seed).batch(0).inputs.tobytes() for seed in LARGE}) == len(LARGE)
