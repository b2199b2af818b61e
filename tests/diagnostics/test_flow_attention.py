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


@pytest.mark.slow  # test_flow_layers.py has such a stack; the range of float32 is left below
@pytest.mark.parametrize("text", [BLOCK, f"stack(GRU(4), {BLOCK}, LSTM(3))"])
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


def plain_log_norms(cell, params, xs, scale, loss):
    """By plain autodiff in float64, whose range is that of 1e-308 to 1e308."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
        total = lambda xs: jnp.sum(loss(sj.scan(cell, wide, xs)[1][:, -1])) * scale
        grads = jax.jit(jax.grad(total))(np.asarray(xs, np.float64))
        return np.log(np.linalg.norm(grads, axis=-1)) - np.log(scale)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_attention_upon_attention_leaves_the_range_of_float32(factor):
    """Layers without a way past, at a fixed point (x = 0), so that the outputs stay where they are."""
    layers = [f"as_cell(MultiHeadAttention, 4, 2, causal={i % 2 == 0}, capacity=8)" for i in range(4)]
    cell = sj.cell_from_text(f"stack({', '.join(layers)})")
    params = jax.tree.map(lambda p: p * factor, cell.init(jax.random.key(0), 4))
    xs, sum_of = jnp.zeros((2, 5, 4)), lambda y: jnp.sum(y, axis=-1)
    flow = gradient_flow(cell, params, xs, sum_of)
    expected = plain_log_norms(cell, params, xs, 1.0, sum_of)
    assert (np.abs(expected) > 40 * np.log(10)).all()
    np.testing.assert_allclose(flow.inputs, expected, rtol=1e-4)
    assert np.isfinite(flow.parameters)


@pytest.mark.parametrize("slope", [1e-3, 1e3])
def test_attention_in_both_directions_saw_one_scale_alone(slope):
    """Windows of two below h' = h slope + x: step t of 60 is read at slope^(60 - t), and only by its neighbours."""
    above = sj.RNN(4, activation="identity", recurrent_init=identity(slope))
    attention = sj.cell_from_text("as_cell(MultiHeadAttention, 4, 2, window=2)")
    cell = sj.stack(sj.GRU(4), attention, above)
    params = cell.init(jax.random.key(0), 4)
    params["2"]["project"]["kernel"] *= 1e-3  # and the outputs stay in range
    xs, sum_of = jnp.zeros((1, 60, 4)), lambda y: jnp.sum(y, axis=-1)
    flow = gradient_flow(cell, params, xs, sum_of)
    assert np.isfinite(flow.inputs).all()
    expected = plain_log_norms(cell, params, xs, 1e100 if slope < 1 else 1e-30, sum_of)
    np.testing.assert_allclose(flow.inputs, expected, rtol=1e-4)
    assert np.abs(np.diff(flow.layers["0/y"])).max() > 6
