"""Means that are kept as a total and a count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, PartitionSpec

pytest.importorskip("optax", reason="optax is not installed (extra: train)")


from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train import Mean


@given(st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=4), st.integers(0, 99))
def test_means_of_parts_add_up_to_the_mean_of_all(masks, seed):
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=len(mask)).astype(np.float32) for mask in masks]
    hidden = [np.where(mask, v, np.nan).astype(np.float32) for v, mask in zip(values, masks)]
    total = sum((Mean.of(v, np.array(mask, bool)) for v, mask in zip(hidden, masks)), start=Mean(0.0, 0))
    kept = np.concatenate([v[np.array(mask, bool)] for v, mask in zip(values, masks)]).astype(np.float64)
    assert int(total.count) == len(kept)
    if len(kept):
        np.testing.assert_allclose(float(total.value()), kept.mean(), rtol=1e-5, atol=1e-6)
    else:
        with pytest.raises(ArgumentError, match="count is 0"):
            total.value()


def test_the_mean_over_devices_is_a_sum():
    values, mask = np.arange(16, dtype=np.float32), np.arange(16) % 5 == 1
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    part = lambda v, m: jax.lax.psum(Mean.of(v, m), "data").value()
    spec = PartitionSpec("data")
    found = jax.jit(jax.shard_map(part, mesh=mesh, in_specs=(spec, spec), out_specs=PartitionSpec()))(values, mask)
    assert float(found) == (1 + 6 + 11) / 3  # some devices have nothing that counts


def test_what_a_mask_hides_reaches_no_gradient():
    values, mask = np.array([1.0, np.nan, 3.0], np.float32), np.array([True, False, True])
    gradient = jax.grad(lambda v: Mean.of(v, mask).value())(values)
    np.testing.assert_array_equal(gradient, [0.5, 0, 0.5])
    assert Mean.of(jnp.ones(1000, jnp.bfloat16)).value() == 1  # summed in float32, where bfloat16 would stop at 256
    assert Mean.of(jnp.ones(3, jnp.bfloat16)).total.dtype == jnp.float32


def test_a_mean_of_float64_from_numpy_warned_that_it_is_float32():
    assert Mean.of(np.array([1.0, 3.0])).value() == 2


@pytest.mark.parametrize(
    "values, mask, error, words",
    [
        ([1.0], None, ArgumentTypeError, "values must be a floating point array"),
        (np.ones(2, np.int32), None, ArgumentTypeError, "int32"),
        (np.ones(2, np.float32), np.ones(2, np.int32), ArgumentTypeError, "weights != 0"),
        (np.ones((2, 3), np.float32), np.ones(2, bool), ArgumentError, r"\(2, 3\).*\(2,\)"),
        (np.ones(2, np.float32), np.array([1, -1], np.float32), ArgumentError, "at least 0, found -1"),
    ],
)
def test_bad_means(values, mask, error, words):
    with pytest.raises(error, match=words):
        Mean.of(values, mask)
