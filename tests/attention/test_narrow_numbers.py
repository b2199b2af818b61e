"""Positions of any integer dtype; slips that gave wrong numbers in silence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import ArgumentError, ArgumentTypeError
from seqjax import attention as A

Q = jax.random.normal(jax.random.key(0), (3, 1, 6, 2, 4))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint32"])
@pytest.mark.parametrize("options", [{"mask": A.window(2)}, {"bias": A.alibi(2)}], ids=["window", "alibi"])
def test_differences_of_positions_do_not_wrap_around(dtype, options):
    far = np.array([0, 1, 2, 60, 120, 127])
    want = A.dot_product(*Q, positions=(far, far[::-1].copy()), **options)
    narrow = far.astype(dtype)
    np.testing.assert_array_equal(A.dot_product(*Q, positions=(narrow, narrow[::-1].copy()), **options), want)


def test_a_negative_narrow_position_has_no_row():
    rows = A.learned(jnp.arange(256.0)[:, None], jnp.array([-1, 1], jnp.int8)).ravel()
    assert np.isnan(rows[0]) and rows[1] == 1


def test_masks_are_joined_by_an_operator():
    with pytest.raises(ArgumentTypeError, match="by &, not by `and`"):
        A.causal() and A.window(2)


def test_whole_numbers_are_not_turned():
    with pytest.raises(ArgumentTypeError, match="x must be a floating point array, found int32"):
        A.rotary(jnp.full((1, 2, 1, 2), 3), jnp.arange(2))


def test_a_cache_in_use_is_not_fresh():
    cache, k = A.empty((1,), 4, 1, 2), jnp.ones((1, 2, 1, 2))
    cache, _ = A.extend(cache, k, k, A.places(cache.count, steps=2), fresh=True)
    with pytest.raises(ArgumentError, match="fresh=True is for an empty cache"):
        A.extend(cache, k, k, A.places(cache.count, steps=2), fresh=True)


def test_nan_in_padded_values_is_not_read():
    real = jnp.array([[True, False]])
    values = jnp.array([[[1.0], [jnp.nan]]])
    assert A.attend(jnp.zeros((1, 2)), values, real)[0].tolist() == [[1.0]]
