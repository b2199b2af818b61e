"""Omega: the experiment's form for tanh networks, which is tested against its definition, and its limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from experiments import temporal_order
from seqjax import GRU, LSTM, RNN
from seqjax.diagnostics import norm_change
from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError

RNG = np.random.default_rng(11)
XS = jnp.ones((2, 3, 2))


def test_value_and_gradient_are_those_of_the_papers_form(x64):
    """tanh: U alone moves, and steps whose gradient is below the least norm do not count."""
    cell = RNN(4, recurrent_init=sj.initializers.normal(0.6))
    params = cell.init(jax.random.key(0), 2, "float64")
    xs, last = jnp.asarray(RNG.normal(size=(3, 5, 2))), jnp.asarray(RNG.normal(size=(3, 4))).at[1].set(0)
    value, grads = jax.value_and_grad(lambda p: norm_change(cell, p, xs, last))(params)
    hs = sj.scan(cell, params, xs)[1]
    want, slope = jax.value_and_grad(temporal_order.regulariser)(params["mix"]["kernel"], hs, last)
    np.testing.assert_allclose(value, want, rtol=1e-10)
    np.testing.assert_allclose(grads["mix"]["kernel"], slope, rtol=1e-9)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads["project"]))


@pytest.mark.slow
@pytest.mark.parametrize("cell", [LSTM(3), GRU(3, reset_after=False), sj.stack(RNN(3), GRU(2))], ids=repr)
def test_of_other_cells_it_is_finite_and_falls(cell):
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (2, 9, 2))
    last = jax.tree.map(jnp.ones_like, cell.initial_carry(params, (2,)))
    mask = np.arange(9) < [[5], [9]]
    loss = jax.jit(lambda p: norm_change(cell, p, xs, last, mask=mask))
    grads = jax.grad(loss)(params)
    size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(grads))
    lower = loss(jax.tree.map(lambda p, g: p - 1e-3 * g / jnp.sqrt(size), params, grads))
    assert 0 < lower < loss(params) < 2


LSTM_PARAMS = LSTM(2).init(jax.random.key(0), 2)
LAST = LSTM(2).initial_carry(LSTM_PARAMS, (2,))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda p: norm_change(LSTM(2), p, XS, jnp.ones((2, 2))), ArgumentError, "last must be dL / d carry"),
        (lambda p: norm_change(LSTM(2), p, XS, None), ArgumentError, r"found \[\]"),
        (lambda p: norm_change(LSTM(2), p, XS, "last"), ArgumentError, r"found \[\]"),
        (lambda p: norm_change(LSTM(2), p, XS, (jnp.ones(2), jnp.ones(2))), ArgumentError, r"\(2, 2\).*found \[\(2,\)"),
        (lambda p: norm_change(LSTM(2), p, XS, LAST, least="small"), ArgumentTypeError, "least must be a number"),
        (lambda p: norm_change(LSTM(2), p, XS[0], LAST), ArgumentError, r"Pass xs\[None\]"),
        (lambda p: norm_change(LSTM(2), p, XS[:, :0], LAST), ArgumentError, "at least one step"),
        (lambda p: norm_change(LSTM, p, XS, LAST), ArgumentTypeError, "Write LSTM"),
        (lambda p: norm_change(LSTM(2), p, XS, LAST, mask=jnp.ones((2, 3))), ArgumentTypeError, "mask must be bool"),
        (
            lambda p: norm_change(sj.Dense(2), sj.Dense(2).init(jax.random.key(0), 2), XS, LAST),
            ArgumentError,
            "no float",
        ),
        (
            lambda p: norm_change(sj.bidirectional(LSTM(2)), {"forward": p, "backward": p}, XS, LAST),
            NotCausalError,
            "step",
        ),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call(LSTM_PARAMS)
