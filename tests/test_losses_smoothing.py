"""Label smoothing against optax, its derivatives, and what it must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.losses import cross_entropy

RNG = np.random.default_rng(0)
LOGITS, CLASSES = RNG.normal(size=(3, 4, 5)) * 3, RNG.integers(0, 5, (3, 4))


def of_optax(logits, classes, share):
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(jax.nn.one_hot(classes, logits.shape[-1]), share))


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_values_and_gradients_are_those_of_optax(share, x64):
    np.testing.assert_allclose(cross_entropy(LOGITS, CLASSES, share), of_optax(LOGITS, CLASSES, share), rtol=1e-12)
    total = lambda loss: jax.grad(lambda logits: jnp.sum(jnp.sin(loss(logits, CLASSES, share))))(LOGITS)
    np.testing.assert_allclose(total(cross_entropy), total(of_optax), rtol=1e-10, atol=1e-14)


def test_none_is_the_loss_as_it_was_bit_for_bit():
    logits = LOGITS.astype(np.float32)
    np.testing.assert_array_equal(cross_entropy(logits, CLASSES, smoothing=0.0), cross_entropy(logits, CLASSES))


def test_a_class_that_cannot_be_gets_no_share(x64):
    """With logits (a, -inf, b) value and gradient are those of (a, b); a target of -inf is infinitely wrong."""
    logits, two = jnp.array([0.3, -jnp.inf, 1.1]), jnp.array([0.3, 1.1])
    value = jax.value_and_grad(lambda l, c: cross_entropy(l, c, smoothing=0.2))
    (found, slope), (wanted, slopes) = value(logits, jnp.int32(2)), value(two, jnp.int32(1))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
    np.testing.assert_allclose(slope, [slopes[0], 0, slopes[1]], rtol=1e-12)
    bad, nothing = value(logits, jnp.int32(1))
    assert bad == jnp.inf and not nothing.any()


def test_large_logits_do_not_overflow():
    logits = jnp.array([1e38, 1e38, 1e38, 1e38])
    value, slope = jax.value_and_grad(lambda l: cross_entropy(l, jnp.int32(0), smoothing=0.5))(logits)
    np.testing.assert_allclose(slope, 0.25 - (0.5 * np.eye(4)[0] + 0.125), atol=1e-6)
    assert np.isfinite(value)


@pytest.mark.parametrize(
    ("share", "error", "words"),
    [
        (1.5, ArgumentError, r"smoothing must be in \[0, 1\], found 1.5"),
        (-0.1, ArgumentError, "smoothing must be in"),
        ("0.1", ArgumentTypeError, "smoothing must be a number"),
        (True, ArgumentTypeError, "smoothing must be a number"),
    ],
)
def test_wrong_calls(share, error, words):
    with pytest.raises(error, match=words):
        cross_entropy(LOGITS, CLASSES, share)
