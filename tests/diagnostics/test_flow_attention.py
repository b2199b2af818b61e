"""The gradient that reaches each position through attention, alone and between recurrent layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.diagnostics import gradient_flow
from seqjax.initializers import identity

BLOCK = "as_cell(TransformerBlock, 4, 2, capacity=8)"


def loss(y):
    return jnp.sum(jnp.sin(y), axis=-1)


@pytest.mark.parametrize("text", [pytest.param(BLOCK, marks=pytest.mark.slow), f"stack(GRU(4), {BLOCK}, LSTM(3))"])
def test_inputs_equal_plain_autodiff(x64, text):
    """With sequences that begin late, as of several lengths in one program."""
    cell = sj.cell_from_text(text)
    params = cell.init(jax.random.key(0), 4, jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (2, 6, 4))
    mask = jnp.array([[True] * 6, [False] * 2 + [True] * 4])

    def total(xs):
        return jnp.sum(loss(sj.scan(cell, params, xs, mask=mask)[1][:, -1]))

    expected = np.linalg.norm(jax.grad(total)(xs), axis=-1)
    flow = gradient_flow(cell, params, xs, loss, mask=mask)
    np.testing.assert_allclose(np.where(mask, np.exp(flow.inputs), 0), expected, rtol=1e-9)
    assert (expected[np.asarray(mask)] > 0).all()


def test_a_window_over_a_forgetting_layer_stays_in_the_log_domain():
    """Attention to the last two steps, over h' = h / 1000 + x: x_t is seen through 1000^-(T - 2 - t) alone.

    At 60 steps that is 1e-168, far below the range of float32.
    """
    forgetting = sj.RNN(4, activation="identity", recurrent_init=identity(1e-3))
    cell = sj.stack(forgetting, sj.cell_from_text(BLOCK.replace("capacity=8", "window=2, capacity=8")))
    params = cell.init(jax.random.key(0), 4)
    xs = jax.random.normal(jax.random.key(1), (1, 60, 4))
    logs = np.asarray(gradient_flow(cell, params, xs, loss).inputs)[0]
    np.testing.assert_allclose(np.diff(logs[:56]), np.log(1000), rtol=1e-3)
    assert logs[0] < np.log(1e-38) * 4


def test_attention_reaches_where_the_layer_above_forgets():
    """The same two layers the other way round: each position is seen at the last step itself."""
    forgetting = sj.RNN(4, activation="identity", recurrent_init=identity(1e-3))
    cell = sj.stack(sj.cell_from_text(BLOCK.replace("8", "64")), forgetting)
    params = cell.init(jax.random.key(0), 4)
    xs = jax.random.normal(jax.random.key(1), (1, 60, 4))
    logs = np.asarray(gradient_flow(cell, params, xs, loss).inputs)[0]
    assert logs.min() > np.log(1e-5)
