"""Gradients of losses: against finite differences, and under the padding law."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax import losses
from tests.test_losses import BITS, CLASSES, LOGITS, MASK, NUMBERS

LOSSES = {
    "cross_entropy": (losses.cross_entropy, CLASSES),
    "sigmoid_binary_cross_entropy": (losses.sigmoid_binary_cross_entropy, BITS),
    "squared_error": (losses.squared_error, NUMBERS),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_that_of_finite_differences(name, x64):
    loss, targets = LOSSES[name]

    @jax.jit
    def mean(logits):
        return losses.weighted_mean(loss(logits, targets), MASK)

    logits = LOGITS.astype(np.float64)
    found = jax.grad(mean)(logits)
    for index in [(0, 0, 1), (2, 0, 0), (0, 1, 1)]:
        up, down = logits.copy(), logits.copy()
        up[index] += 1e-5
        down[index] -= 1e-5
        np.testing.assert_allclose(found[index], (mean(up) - mean(down)) / 2e-5, rtol=1e-6, atol=1e-9)


@functools.cache
def mean_and_gradient(name):
    loss, targets = LOSSES[name]
    return jax.jit(jax.value_and_grad(lambda logits: losses.weighted_mean(loss(logits, targets), MASK)))


@given(
    name=st.sampled_from(sorted(LOSSES)),
    waste=st.sampled_from([np.nan, np.inf, -np.inf, 3e38]),
    where=st.lists(st.integers(0, 19), min_size=1, max_size=5),
)
def test_padding_changes_neither_mean_nor_gradient(name, waste, where):
    """Whatever stands in left-out elements: the mean is as it was, bit for bit, and the gradient there is 0."""
    dirty = LOGITS.copy()
    for flat in where:
        dirty[1, flat // 5, flat % 5] = waste
        dirty[0, 1, flat % 5] = waste
    clean_value, clean_gradient = mean_and_gradient(name)(LOGITS)
    value, gradient = mean_and_gradient(name)(dirty)
    np.testing.assert_array_equal(value, clean_value)
    np.testing.assert_array_equal(gradient, clean_gradient)
    np.testing.assert_array_equal(gradient[~MASK], 0)
    assert np.abs(gradient[MASK]).sum() > 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("waste", [np.nan, np.inf])
def test_what_is_not_finite_in_a_real_element_is_seen(name, waste):
    loss, targets = LOSSES[name]
    dirty = LOGITS.copy()
    dirty[0, 0, 0] = waste
    if name == "sigmoid_binary_cross_entropy":
        targets = np.zeros_like(targets)
    assert not np.isfinite(losses.weighted_mean(loss(dirty, targets), MASK))
