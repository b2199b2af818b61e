"""Losses against NumPy in float64, dtypes, and wrong calls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import losses
from seqjax.errors import ArgumentError, ArgumentTypeError

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(3, 4, 5)).astype(np.float32) * 3
CLASSES = RANDOM.integers(0, 5, (3, 4))
BITS = RANDOM.integers(0, 2, (3, 4, 5))
MASK = np.array([[True, False, True, True], [False] * 4, [True, False, False, False]])
NUMBERS = RANDOM.normal(size=(3, 4, 5)).astype(np.float32)


def numpy_cross_entropy(logits, targets):
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0])


def numpy_binary_cross_entropy(logits, targets):
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(-1)


def test_values_are_those_of_numpy():
    np.testing.assert_allclose(losses.cross_entropy(LOGITS, CLASSES), numpy_cross_entropy(LOGITS, CLASSES), rtol=1e-5)
    np.testing.assert_allclose(
        losses.sigmoid_binary_cross_entropy(LOGITS, BITS), numpy_binary_cross_entropy(LOGITS, BITS), rtol=1e-5
    )
    square = ((LOGITS.astype(np.float64) - NUMBERS) ** 2).mean(-1)
    np.testing.assert_allclose(losses.squared_error(LOGITS, NUMBERS), square, rtol=1e-5)
    np.testing.assert_array_equal(losses.accuracy(LOGITS, CLASSES), LOGITS.argmax(-1) == CLASSES)
    np.testing.assert_allclose(losses.weighted_mean(NUMBERS[..., 0], MASK), NUMBERS[..., 0][MASK].mean(), rtol=1e-6)
    last = losses.last(LOGITS, np.array([4, 1, 2]))
    np.testing.assert_array_equal(last, LOGITS[[0, 1, 2], [3, 0, 1]])


def test_no_leading_axes_at_all():
    assert losses.cross_entropy(LOGITS[0, 0], CLASSES[0, 0]).shape == ()
    assert losses.sigmoid_binary_cross_entropy(LOGITS[0, 0], BITS[0, 0]).shape == ()
    assert losses.squared_error(LOGITS[0, 0], NUMBERS[0, 0]).shape == ()


def test_extreme_logits_are_finite():
    """log p of a certain class is 0, and that of the other 2e38 away: no overflow between."""
    logits = jnp.array([[1e38, -1e38]])
    np.testing.assert_array_equal(losses.cross_entropy(logits, jnp.array([0])), [0])
    np.testing.assert_allclose(losses.cross_entropy(logits, jnp.array([1])), [2e38], rtol=1e-6)
    np.testing.assert_allclose(losses.sigmoid_binary_cross_entropy(logits, jnp.array([[1, 1]])), [1e38], rtol=1e-6)


def test_a_class_that_cannot_be():
    """With logits (a, -inf, b) the loss is that of (a, b), and its gradient that of two classes."""
    logits, two = jnp.array([0.3, -jnp.inf, 1.1]), jnp.array([0.3, 1.1])
    np.testing.assert_allclose(losses.cross_entropy(logits, jnp.int32(2)), losses.cross_entropy(two, jnp.int32(1)))
    found = jax.grad(losses.cross_entropy)(logits, jnp.int32(2))
    np.testing.assert_allclose(found[jnp.array([0, 2])], jax.grad(losses.cross_entropy)(two, jnp.int32(1)), rtol=1e-6)
    assert found[1] == 0
    assert losses.cross_entropy(logits, jnp.int32(1)) == jnp.inf


def softmax_of_some(logits, allowed):
    """Probabilities in float64 of the allowed classes, 0 of the others."""
    p = np.where(allowed, np.exp(np.where(allowed, logits, 0).astype(np.float64)), 0)
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("compiled", [False, True])
def test_forbidden_classes_leave_exact_derivatives(compiled):
    """-inf at half of the classes: loss -log p, gradient p - onehot, Hessian diag(p) - p p', all of float64."""
    loss = jax.jit(losses.cross_entropy) if compiled else losses.cross_entropy
    allowed = np.array([[True, False, True, True, False], [False, False, False, True, False]])
    logits, targets = np.where(allowed, LOGITS[0, :2], -np.inf), np.array([2, 3])
    p = softmax_of_some(LOGITS[0, :2], allowed)
    np.testing.assert_allclose(loss(logits, targets), -np.log(p[[0, 1], targets]), rtol=1e-5, atol=1e-7)
    gradient = jax.grad(lambda x: jnp.sum(loss(x, targets)))(logits)
    np.testing.assert_allclose(gradient, p - np.eye(5)[targets], atol=3e-7)
    np.testing.assert_array_equal(gradient[~allowed], 0)
    hessian = jax.hessian(loss)(logits[0], jnp.int32(2))
    np.testing.assert_allclose(hessian, np.diag(p[0]) - np.outer(p[0], p[0]), atol=3e-7)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("logits", [[-np.inf, 1, 2], [-np.inf, 1, -np.inf], [-np.inf, -3e38, 3e38]])
def test_a_forbidden_target_costs_inf_and_gives_no_direction(logits, compiled):
    """A gradient of p - onehot would pull at the other classes, though no logit of them makes the loss finite."""
    loss = jax.jit(losses.cross_entropy) if compiled else losses.cross_entropy
    value, gradient = jax.value_and_grad(loss)(jnp.array(logits), jnp.int32(0))
    assert value == jnp.inf
    np.testing.assert_array_equal(gradient, np.zeros(3))


def test_an_element_without_a_loss_gives_no_gradient_and_its_neighbours_theirs():
    """Inside jit: a target out of range, a NaN, no class at all, and a proper element."""
    logits = np.stack([LOGITS[0, 0]] * 4)
    logits[1, 2], logits[2] = np.nan, -np.inf
    targets = np.array([5, 0, 0, 1])
    values, pull = jax.vjp(jax.jit(lambda x: losses.cross_entropy(x, jax.jit(jnp.array)(targets))), logits)
    np.testing.assert_array_equal(np.isnan(values), [True, True, True, False])
    (gradient,) = pull(jnp.ones(4))
    np.testing.assert_array_equal(gradient[:3], 0)
    np.testing.assert_allclose(gradient[3], softmax_of_some(logits[3], True) - np.eye(5)[1], atol=3e-7)


SOFT = np.array([0, 1, 0.25, 0.5, 0.9])


@pytest.mark.parametrize("compiled", [False, True])
def test_soft_targets_are_weighed(compiled):
    """Loss and derivatives of float64 by logit (p - t) and by target (-logit); inside jit they were rounded to 0 or 1."""
    loss = jax.jit(losses.sigmoid_binary_cross_entropy) if compiled else losses.sigmoid_binary_cross_entropy
    logits = np.concatenate([LOGITS[:, 0], np.zeros((1, 5), np.float32)])
    targets = np.broadcast_to(SOFT, logits.shape).astype(np.float32)
    exact = numpy_binary_cross_entropy(logits, targets.astype(np.float64))
    np.testing.assert_allclose(loss(logits, targets), exact, rtol=1e-6)
    by_logit, by_target = jax.grad(lambda x, t: jnp.sum(loss(x, t)), (0, 1))(logits, targets)
    np.testing.assert_allclose(by_logit, 1 / (1 + np.exp(-logits.astype(np.float64))) - targets, atol=2e-7)
    np.testing.assert_allclose(by_target, -logits, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "float16", "bfloat16", "float32"])
def test_hard_targets_of_every_dtype_are_the_same(dtype):
    wanted = losses.sigmoid_binary_cross_entropy(LOGITS, BITS)
    targets = jnp.asarray(BITS).astype(dtype)
    np.testing.assert_array_equal(losses.sigmoid_binary_cross_entropy(LOGITS, targets), wanted)
    np.testing.assert_array_equal(jax.jit(losses.sigmoid_binary_cross_entropy)(LOGITS, targets), wanted)


def test_infinite_logits_of_binary_targets():
    """A certain and right answer costs nothing, a certain and wrong one inf; the gradient of both is 0."""
    inf = jnp.inf
    logits = jnp.array([[inf], [-inf], [inf], [-inf], [inf], [-inf], [jnp.nan]])
    targets = jnp.array([[1], [0], [0], [1], [0.75], [0.75], [0.5]])
    loss = losses.sigmoid_binary_cross_entropy(logits, targets)
    np.testing.assert_array_equal(loss, [0, 0, inf, inf, inf, inf, jnp.nan])
    gradient = jax.grad(lambda x: jnp.sum(losses.sigmoid_binary_cross_entropy(x, targets)))(logits)
    np.testing.assert_array_equal(gradient, np.zeros((7, 1)))


@pytest.mark.parametrize("wrong", [2, -1, 1.5, -0.25, np.nan, np.inf])
def test_targets_that_are_no_probability_are_refused_or_nan(wrong):
    targets = np.array([0, 1, wrong])[:, None]
    logits = jnp.array([[0.5], [0.5], [0.5]])
    with pytest.raises(ArgumentError, match=f"probabilities between, found {wrong}. Classes"):
        losses.sigmoid_binary_cross_entropy(logits, targets)
    loss = jax.jit(losses.sigmoid_binary_cross_entropy)
    np.testing.assert_array_equal(np.isnan(loss(logits, targets)), [False, False, True])
    gradient = jax.grad(lambda x: jnp.sum(loss(x, targets)))(logits)
    assert (gradient[:2] != 0).all() and gradient[2, 0] == 0


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    low = jnp.asarray(LOGITS, dtype)
    exact = np.asarray(low.astype(jnp.float32))
    for found, wanted in [
        (losses.cross_entropy(low, CLASSES), numpy_cross_entropy(exact, CLASSES)),
        (losses.sigmoid_binary_cross_entropy(low, BITS), numpy_binary_cross_entropy(exact, BITS)),
        (losses.weighted_mean(low[..., 0], MASK), exact[..., 0][MASK].mean()),
    ]:
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_float64_stays(x64):
    found = losses.cross_entropy(LOGITS.astype(np.float64), CLASSES)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, numpy_cross_entropy(LOGITS, CLASSES), rtol=1e-13)


def test_no_class_is_right_where_a_logit_is_nan():
    logits = jnp.array([[jnp.nan, 1.0], [2.0, jnp.nan], [1.0, 0.0]])
    np.testing.assert_array_equal(losses.accuracy(logits, jnp.zeros(3, jnp.int32)), [0, 0, 1])


def test_padding_of_last():
    dirty = LOGITS.copy()
    dirty[0, 2:], dirty[2, 1:] = np.nan, np.inf
    lengths = np.array([2, 4, 1])
    gradient = jax.grad(lambda x: jnp.sum(jnp.sin(losses.last(x, lengths))))(dirty)
    wanted = np.zeros_like(LOGITS)
    for b, n in enumerate(lengths):
        wanted[b, n - 1] = np.cos(LOGITS[b, n - 1])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6)


def test_what_cannot_be_seen_inside_jit_is_nan():
    nothing = jax.jit(losses.weighted_mean)(jnp.ones(3), jnp.zeros(3, bool))
    label = jax.jit(losses.cross_entropy)(jnp.ones((3, 2)), jnp.array([0, 2, -1]))
    length = jax.jit(losses.last)(jnp.ones((3, 2, 1)), jnp.array([0, 2, 3], jnp.int8))
    np.testing.assert_array_equal(np.isnan(nothing), True)
    np.testing.assert_array_equal(np.isnan(label), [False, True, True])
    np.testing.assert_array_equal(np.isnan(length[:, 0]), [True, False, True])


def test_many_classes_with_narrow_targets():
    """Ids of an int8 below a vocabulary that int8 cannot count."""
    logits = jnp.zeros((2, 300))
    np.testing.assert_allclose(losses.cross_entropy(logits, np.array([0, 127], np.int8)), np.log(300), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_numbers_of_64_bits_do_not_wrap_around(dtype, x64):
    """As int32, 2**32 + 1 is 1."""
    numbers = jnp.array([1, 2**32 + 1, 2**63 - 1], dtype)
    label = jax.jit(losses.cross_entropy)(jnp.ones((3, 2)), numbers)
    length = jax.jit(losses.last)(jnp.ones((3, 2, 1)), numbers)[:, 0]
    hit = jax.jit(losses.accuracy)(jnp.array([[0.0, 1.0]] * 3), numbers)
    np.testing.assert_array_equal(np.isnan(label), [False, True, True])
    np.testing.assert_array_equal(np.isnan(length), [False, True, True])
    np.testing.assert_array_equal(hit, [1, 0, 0])


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: losses.cross_entropy(LOGITS, CLASSES + 5), ArgumentError, "0 ... 4"),
        (lambda: losses.cross_entropy(LOGITS, CLASSES - 100), ArgumentError, "ignored"),
        (lambda: losses.cross_entropy(LOGITS, LOGITS[..., 0]), ArgumentTypeError, "integer dtype"),
        (lambda: losses.cross_entropy(LOGITS, CLASSES[:2]), ArgumentError, "leading axes"),
        (lambda: losses.cross_entropy(CLASSES, CLASSES), ArgumentTypeError, "logits must be floating"),
        (lambda: losses.cross_entropy([1.0], CLASSES), ArgumentTypeError, "list"),
        (lambda: losses.cross_entropy(np.float32(1), np.int32(0)), ArgumentError, "leading axes"),
        (lambda: losses.accuracy(LOGITS, CLASSES + 5), ArgumentError, "0 ... 4"),
        (lambda: losses.sigmoid_binary_cross_entropy(LOGITS, BITS + 1), ArgumentError, "0, 1 or prob"),
        (lambda: losses.sigmoid_binary_cross_entropy(LOGITS, BITS + 0j), ArgumentTypeError, "found complex"),
        (lambda: losses.sigmoid_binary_cross_entropy(LOGITS, CLASSES), ArgumentError, "same"),
        (lambda: losses.squared_error(LOGITS, NUMBERS[:2]), ArgumentError, "same"),
        (lambda: losses.squared_error(LOGITS, BITS), ArgumentTypeError, "targets must be floating"),
        (lambda: losses.weighted_mean(NUMBERS[..., 0], MASK * 1), ArgumentTypeError, "bool"),
        (lambda: losses.weighted_mean(NUMBERS, MASK), ArgumentError, "same"),
        (lambda: losses.weighted_mean(NUMBERS[..., 0], MASK & False), ArgumentError, "all 0"),
        (lambda: losses.last(LOGITS, np.array([1, 0, 2])), ArgumentError, "no steps"),
        (lambda: losses.last(LOGITS, np.array([1, 5, 2])), ArgumentError, "1 ... 4"),
        (lambda: losses.last(LOGITS, np.array([1, 2])), ArgumentError, "one for each"),
        (lambda: losses.last(LOGITS, np.array([1.0, 2, 2])), ArgumentTypeError, "whole numbers"),
        (lambda: losses.last(LOGITS[0], np.array([1, 2, 2])), ArgumentError, r"\[B, T, F\]"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_weights_that_are_negative_or_no_numbers_were_taken(wrong, dtype):
    weights = np.array([1, wrong, 2], dtype)
    for given in (weights, jnp.asarray(weights)):
        with pytest.raises(ArgumentError, match=f"weights must be finite numbers of at least 0, found {wrong:g}"):
            losses.weighted_mean(jnp.ones(3), given)
    jax.jit(losses.weighted_mean)(jnp.ones(3), weights)  # inside jit nobody knows them
