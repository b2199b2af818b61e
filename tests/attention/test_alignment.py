"""Weights from scores: softmax with empty rows, and monotonic attention against its recursion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.attention import attend, context, monotonic


def recursion(stop, go_on, previous):
    """Algorithm 1 of Raffel et al. 2017 in expectation, eq. 8 and 9, one key after the other; float64."""
    weights, q = np.zeros(len(stop)), 0.0
    for s in range(len(stop)):
        q = (go_on[s - 1] if s else 0) * q + previous[s]
        weights[s] = stop[s] * q
    return weights


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=9), st.integers(0, 8), st.integers(0, 2**9 - 1))
def test_monotonic_is_the_recursion(scores, start, flags):
    """Also where one surely stops, and over keys that are not there; weights of the step before from anywhere."""
    scores, real = np.array(scores), np.array([flags >> s & 1 for s in range(len(scores))], bool)
    previous = np.roll(sigmoid(scores) / len(scores), start)
    padded = [np.pad(a, (0, 9 - len(a))) for a in (scores, previous, real)]  # one program for all
    with jax.enable_x64(True):
        found = jax.jit(monotonic)(*padded)
    np.testing.assert_allclose(
        found[: len(scores)],
        recursion(sigmoid(scores) * real, np.where(real, sigmoid(-scores), 1), previous),
        rtol=1e-12,
        atol=1e-300,
    )


def test_hard_monotonic_stops_at_the_first_key_that_is_chosen():
    """The online algorithm: from the key before, the first with a score above 0."""
    scores = np.array([[3.0, -1.0, -2.0, 0.5, 4.0], [1.0, 2.0, -1.0, -1.0, -1.0], [1.0, -1.0, 2.0, 1.0, 1.0]])
    before = np.eye(5, dtype=np.float32)[[1, 2, 2]]
    want = np.stack([np.eye(5)[3], np.zeros(5), np.eye(5)[2]])  # it went past the end; it stays where it is
    np.testing.assert_array_equal(monotonic(scores.astype(np.float32), before, hard=True), want)


def test_monotonic_has_finite_gradients_over_long_sources():
    """In float32 over 2,000 keys, certain and uncertain: the division of the parallel formula would give NaN or zeros."""
    scores = jnp.concatenate([jnp.full(500, -30.0), jnp.zeros(500), jnp.full(500, 40.0), jnp.full(500, -200.0)])
    before = jnp.zeros(2000).at[0].set(1.0)

    def steps(scores):
        first = monotonic(scores, before)
        return jnp.sum(monotonic(scores - 1, first) * jnp.arange(2000)), first

    gradient, first = jax.jit(jax.grad(steps, has_aux=True))(scores)
    assert np.isfinite(gradient).all() and np.any(gradient != 0)
    high = np.asarray(scores, float)
    np.testing.assert_allclose(first, recursion(sigmoid(high), sigmoid(-high), before), rtol=1e-4, atol=1e-7)


def test_attend_is_the_softmax_over_real_keys(x64):
    rng = np.random.default_rng(0)
    scores, values, real = 3 * rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3, 5, 4)), rng.random((2, 3, 5)) > 0.4
    real[0, 0] = False
    raised = np.exp(scores) * real
    want = raised / np.maximum(raised.sum(-1, keepdims=True), 1e-300)
    mean, weights = attend(scores, values, real)
    np.testing.assert_allclose(weights, want, atol=1e-15)
    np.testing.assert_allclose(mean, np.einsum("abs,abse->abe", want, values), atol=1e-14)
    assert not weights[0, 0].any() and not mean[0, 0].any()


def test_an_empty_row_has_zero_gradients_of_both_orders():
    values, real = jnp.ones((2, 3, 1)), jnp.array([[False] * 3, [True, True, False]])
    loss = lambda scores: jnp.sum(attend(scores, values * jnp.arange(3.0)[:, None][None], real)[0] ** 2)
    gradient, hessian = jax.jit(lambda s: (jax.grad(loss)(s), jax.hessian(loss)(s)))(jnp.zeros((2, 3)))
    assert not gradient[0].any() and not hessian[0].any() and not hessian[:, :, 0].any()
    assert np.isfinite(gradient).all() and np.isfinite(hessian).all() and gradient[1, 0] != 0


def test_no_keys_at_all():
    mean, weights = attend(jnp.zeros((2, 0)), jnp.ones((2, 0, 3)))
    assert weights.shape == (2, 0) and not mean.any() and mean.shape == (2, 3)


@pytest.mark.parametrize("size", [1.0, 300.0])
def test_weights_are_float32_for_bfloat16_scores(size):
    """And as good: 1e-6 of float64's on the same numbers, also for scores of some hundreds."""
    scores = (size * jax.random.normal(jax.random.key(0), (2, 200))).astype(jnp.bfloat16)
    values = jax.random.normal(jax.random.key(1), (2, 200, 3), jnp.bfloat16)
    mean, weights = attend(scores, values)
    high = np.asarray(scores, float)
    want = np.exp(high - high.max(-1, keepdims=True))
    want /= want.sum(-1, keepdims=True)
    assert weights.dtype == jnp.float32 and mean.dtype == jnp.bfloat16
    np.testing.assert_allclose(weights, want, atol=1e-6)
    mean_of = np.einsum("bs,bse->be", want, np.asarray(values, float))
    np.testing.assert_allclose(np.asarray(mean, float), mean_of, rtol=2**-8, atol=1e-5)
    np.testing.assert_array_equal(context(weights, values), mean)
