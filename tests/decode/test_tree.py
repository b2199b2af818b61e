"""Paths through a tree: the known answers of TF Addons' `gather_tree`, and paths that end in given places."""

import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.decode import gather_tree

CASES = {
    "one row": (
        [[[1, 2, 3], [4, 5, 6], [7, 8, 9], [-1, -1, -1]]],
        [[[0, 0, 0], [0, 1, 1], [2, 1, 2], [-1, -1, -1]]],
        [3],
        10,
        [[[2, 2, 2], [6, 5, 6], [7, 8, 9], [10, 10, 10]]],
    ),
    "two rows": (
        [[[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[2, 3, 4], [5, 6, 7], [8, 9, 10]]],
        [[[0, 0, 0], [0, 1, 1], [2, 1, 2]], [[0, 0, 0], [1, 2, 0], [2, 1, 1]]],
        [3, 3],
        11,
        [[[2, 2, 2], [6, 5, 6], [7, 8, 9]], [[2, 4, 4], [7, 6, 6], [8, 9, 10]]],
    ),
    "two lengths": (
        [[[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 0, 0]], [[2, 3, 4], [5, 6, 7], [8, 9, 10], [11, 12, 0]]],
        [[[0, 0, 0], [0, 1, 1], [2, 1, 2], [-1, -1, -1]], [[0, 0, 0], [1, 1, 0], [2, 0, 1], [0, 1, 0]]],
        [3, 4],
        0,
        [[[2, 2, 2], [6, 5, 6], [7, 8, 9], [0, 0, 0]], [[2, 3, 2], [7, 5, 7], [8, 9, 8], [11, 12, 0]]],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_known_answers(name):
    """Theirs has an axis of time where ours has one of paths."""
    values, parents, lengths, fill, wanted = (np.asarray(part) for part in CASES[name])
    lengths = np.repeat(lengths[:, None], 3, axis=1)
    found = gather_tree(values, parents, lengths, fill=fill)
    assert np.array_equal(np.swapaxes(found, 1, 2), wanted)


def test_a_long_path():
    """Five paths that end in step 7; theirs are cut at lengths of their own, and hold what they were up to there."""
    values = np.array(
        [
            [25, 12, 114, 89, 97],
            [9, 91, 64, 11, 162],
            [34] * 5,
            [2, 4, 2, 2, 4],
            [2, 3, 6, 2, 2],
            [2, 2, 2, 3, 2],
            [2] * 5,
        ]
    )
    parents = np.array(
        [[0] * 5, [0] * 5, [0, 1, 2, 3, 4], [0, 0, 1, 2, 1], [0, 1, 1, 2, 3], [0, 1, 3, 1, 2], [0, 1, 2, 3, 4]]
    )
    wanted = np.array(
        [[25] * 5, [9, 9, 91, 9, 9], [34] * 5, [2, 4, 2, 4, 4], [2, 3, 6, 3, 6], [2, 2, 2, 3, 2], [2, 2, 2, 2, 2]]
    )
    found = gather_tree(values, parents, np.full(5, 7)).T
    for path, length in enumerate([4, 6, 4, 7, 6]):
        assert np.array_equal(found[:length, path], wanted[:length, path])


def test_paths_that_end_anywhere():
    """More paths than places, of any length, any batch axes, and values that are no tokens."""
    rng = np.random.default_rng(0)
    values, parents = rng.normal(size=(2, 3, 6, 4)).astype(np.float32), rng.integers(0, 4, (2, 3, 6, 4))
    lengths, last = rng.integers(0, 7, (2, 3, 9)), rng.integers(0, 4, (2, 3, 9))
    found = gather_tree(values, parents, lengths, last, fill=jnp.nan)
    for at in np.ndindex(2, 3, 9):
        place, path = last[at], []
        for step in range(lengths[at] - 1, -1, -1):
            path.append(values[at[:2]][step, place])
            place = parents[at[:2]][step, place]
        assert np.array_equal(found[at], path[::-1] + [np.nan] * (6 - len(path)), equal_nan=True)
