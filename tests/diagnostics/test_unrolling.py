"""Variance of gradients by unroll length, against per-example gradients and a known growth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import LSTM
from seqjax.diagnostics import gradient_variance, lyapunov_exponents
from seqjax.errors import ArgumentError, ArgumentTypeError

CELL, PARAMS = LSTM(2), LSTM(2).init(jax.random.key(0), 2)
XS = jnp.ones((2, 3, 2))


@pytest.mark.slow
def test_is_the_variance_of_the_gradients_of_examples(x64):
    """With targets for each row, and a learned initial carry, whose gradient counts."""
    cell = sj.RNN(2, learned_carry=True)
    params = cell.init(jax.random.key(0), 2, "float64")
    xs, targets = jax.random.normal(jax.random.key(1), (4, 5, 2), jnp.float64), jnp.arange(4.0)
    found = gradient_variance(cell, params, xs, lambda y: (y[:, 0] - targets) ** 2, [2, 5])
    for length, value in zip((2, 5), found):
        of = lambda p, x, t, n=length: (sj.scan(cell, p, x[:n])[1][-1, 0] - t) ** 2
        grads = jax.vmap(jax.grad(of), (None, 0, 0))(params, xs, targets)
        want = sum(np.var(leaf, axis=0, ddof=1).sum() for leaf in jax.tree.leaves(grads))
        np.testing.assert_allclose(np.exp(value), want, rtol=1e-9)


@pytest.mark.slow
def test_grows_at_twice_the_lyapunov_exponent():
    """A chaotic network (Metz et al. 2021)."""
    cell = sj.RNN(100, recurrent_init=sj.initializers.normal(0.4))
    params = cell.init(jax.random.key(0), 1)
    xs = 0.1 * jax.random.normal(jax.random.key(1), (16, 400, 1))
    carry = jax.random.normal(jax.random.key(2), (16, 100))
    top = float(lyapunov_exponents(cell, params, xs, carry, count=1, warm_up=100).exponents.mean())
    lengths = [100, 200, 300, 400]
    slope = np.polyfit(lengths, gradient_variance(cell, params, xs, lambda y: y[:, 0], lengths, carry), 1)[0]
    assert top > 0.2 and abs(slope / 2 / top - 1) < 0.25


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda f, loss: f(CELL, PARAMS, XS[:1], loss, [1]), ArgumentError, "two examples or more"),
        (lambda f, loss: f(CELL, PARAMS, XS, loss, []), ArgumentError, r"from 1 to 3, the steps of xs, found \[\]"),
        (lambda f, loss: f(CELL, PARAMS, XS, loss, [1, 4]), ArgumentError, r"from 1 to 3, .* found \[1, 4\]"),
        (lambda f, loss: f(CELL, PARAMS, XS, loss, [0]), ArgumentError, r"lengths\[0\] must be .* at least 1, found 0"),
        (lambda f, loss: f(CELL, PARAMS, XS, loss, [1.5]), ArgumentTypeError, r"lengths\[0\] must be a whole number"),
        (lambda f, loss: f(CELL, PARAMS, XS[0], loss, [1]), ArgumentError, r"Pass xs\[None\]"),
        (lambda f, loss: f(CELL, PARAMS, XS[:, :0], loss, [1]), ArgumentError, "at least one step"),
        (lambda f, loss: f(LSTM, PARAMS, XS, loss, [1]), ArgumentTypeError, "Write LSTM"),
        (lambda f, loss: f(CELL, [], XS, loss, [1]), ArgumentTypeError, "params must be the dict"),
        (lambda f, loss: f(CELL, PARAMS, XS, lambda y: y, [1]), ArgumentError, "loss gave shape .*one number a row"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call(gradient_variance, lambda y: y[:, 0])
