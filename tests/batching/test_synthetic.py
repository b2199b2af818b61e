"""Batches that are drawn: functions of seed and step."""

import jax
import numpy as np
import pytest

from seqjax.batching import Synthetic
from seqjax.errors import ArgumentError, ArgumentTypeError
from tests.batching.test_order import LARGE


def test_drawn_batches_are_functions_of_seed_and_step():
    def draw(key):
        return {"x": jax.random.normal(key, (6, 2))}

    source = Synthetic(draw, seed=3)
    expected = draw(jax.random.fold_in(jax.random.key(3), 5))["x"]
    np.testing.assert_allclose(source.batch(5)["x"], expected, rtol=1e-6)
    seen = [source.batch(step)["x"] for step in (5, 0, 5, 1)] + [Synthetic(draw, seed=4).batch(5)["x"]]
    np.testing.assert_array_equal(seen[0], seen[2])
    assert len({x.tobytes() for x in map(np.asarray, seen)}) == 4
    parts = [source.batch(5, index, 3)["x"] for index in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), seen[0])
    with pytest.raises(ArgumentError, match="6 rows cannot be shared by 4"):
        source.batch(0, 0, 4)
    with pytest.raises(ArgumentTypeError, match="draw must be a function of a key, found int"):
        Synthetic(3)
    with pytest.raises(ArgumentError, match="seed"):
        Synthetic(draw, seed=-1)
    with pytest.raises(ArgumentError, match="step must be below"):
        source.batch(2**32)
    with pytest.raises(ArgumentError, match="step"):
        source.batch(-1)


def test_large_seeds_and_steps_of_drawn_batches_are_told_apart():
    """`jax.random.key(2**32)` is `jax.random.key(0)` without x64."""
    draw = lambda key: jax.random.bits(key, (2,))
    drawn = [Synthetic(draw, seed).batch(step) for seed in LARGE[:4] for step in LARGE[:4]]
    assert len({tuple(bits.tolist()) for bits in drawn}) == 16
    for seed in LARGE[4:]:
        with pytest.raises(ArgumentError, match=rf"seed must be below 2\*\*32, .* found {seed}"):
            Synthetic(draw, seed)
