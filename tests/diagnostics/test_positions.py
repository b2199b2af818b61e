"""Gradients of the loss of chosen steps: against closed forms, and plain autodiff of each loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Embed, bidirectional, stack, trace
from seqjax.diagnostics import gradient_by_position, gradient_flow

B, T = 2, 6
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]], bool)
CHOSEN = [1, 3, -1]
BLOCK = "stack(GRU(4), as_cell(TransformerBlock, 4, 2, capacity=8))"


def each(ys):
    return jnp.sum(jnp.sin(ys), axis=-1)


def scalar(w, activation="identity"):
    cell = RNN(1, activation=activation)
    params = cell.init(jax.random.key(0), 1)
    params["mix"]["kernel"] = jnp.full((1, 1), w)
    return cell, params


@pytest.mark.parametrize("w, activation", [(0.5, "identity"), (-3.0, "identity"), (0.9, "tanh")])
def test_powers_of_the_scalar_cell(w, activation):
    """dL_s/dh_t = w^(s-t), and zero after s; 3^299 = 1e142, far beyond float32. tanh at zero has the slope 1."""
    cell, params = scalar(w, activation)
    flow = gradient_by_position(cell, params, jnp.zeros((1, 300, 1)), lambda ys: ys[..., 0], [0, 150, -1])
    back = np.array([0, 150, 299])[:, None] - np.arange(300)
    wanted = np.where(back >= 0, back * np.log(abs(w)), -np.inf)
    np.testing.assert_allclose(flow.layers["h"][0], wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(flow.outputs, 0)
    np.testing.assert_allclose(flow.joint[0, :, 1:], np.where(back[:, :-1] > 0, wanted[:, :-1], -np.inf), rtol=1e-5)


CELLS = {
    "rnn": (RNN(3), 2, "h"),
    "lstm": (LSTM(3), 2, "h"),
    "both": (stack(LSTM(2), bidirectional(GRU(2))), 2, "1/backward/h"),
    "block": (sj.cell_from_text(BLOCK), 4, "0/h"),
}


@pytest.mark.parametrize("name", ["rnn", *[pytest.param(n, marks=pytest.mark.slow) for n in ("lstm", "both", "block")]])
def test_equals_plain_autodiff_of_each_loss(x64, name):
    """With gaps, in stacks, both directions and attention: every row by probes of its own."""
    cell, width, path = CELLS[name]
    params = cell.init(jax.random.key(0), width, "float64")
    xs = jax.random.normal(jax.random.key(1), (B, T, width))
    flow = gradient_by_position(cell, params, xs, each, CHOSEN, mask=MASK)
    shape = trace(cell, params, xs, mask=MASK)[2][path].shape

    def losses(probe, xs, s):
        return jnp.sum(each(trace(cell, params, xs, add={path: probe}, mask=MASK)[1])[:, s])

    pull = jax.jit(jax.grad(losses, argnums=(0, 1)), static_argnums=2)
    for row, s in enumerate(CHOSEN):
        states, inputs = pull(jnp.zeros(shape), xs, s)
        both_real = MASK & MASK[:, [s]]
        for got, wanted in ((flow.layers[path], states), (flow.inputs, inputs)):
            np.testing.assert_array_equal(np.isnan(got[:, row]), ~both_real)
            wanted = np.linalg.norm(wanted, axis=-1)
            np.testing.assert_allclose(np.exp(got[:, row])[both_real], wanted[both_real], rtol=1e-9, atol=1e-300)


@pytest.mark.slow
def test_the_last_row_is_the_flow_of_the_last_loss():
    cell = LSTM(3)
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (B, T, 2))
    rows = gradient_by_position(cell, params, xs, each, [-1])
    flow = gradient_flow(cell, params, xs, each)
    np.testing.assert_allclose(rows.loss[:, 0], flow.loss, rtol=1e-6)
    np.testing.assert_allclose(rows.outputs[:, 0], flow.joint[:, 0], rtol=1e-5)
    np.testing.assert_allclose(rows.joint[:, 0, ::-1], flow.joint[:, 1:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows.layers["c"][:, 0], flow.layers["c"], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_inside_jit_and_for_token_ids():
    model = stack(Embed(5, 3), GRU(2))
    params = model.init(jax.random.key(0), 1)
    ids = np.arange(T)[None] % 5
    plain = gradient_by_position(model, params, ids, each, [2])
    compiled = jax.jit(lambda p, x: gradient_by_position(model, p, x, each, [2]))(params, ids)
    assert plain.inputs is None
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), plain, compiled)


def test_memory_is_not_of_every_pair_of_steps():
    """Twice the positions cost only their rows."""
    cell, params = scalar(0.5)

    def size(count):
        f = lambda xs: gradient_by_position(cell, params, xs, lambda ys: ys[..., 0], list(range(count))).joint
        return jax.jit(f).lower(jnp.zeros((1, 4096, 1))).compile().memory_analysis().temp_size_in_bytes

    assert size(16) - size(8) < 8 * 4 * 4 * 4096 * 4  # eight rows of four values, floats, and room for as many thrice


def test_wrong_positions_and_losses_are_named():
    cell = RNN(2)
    params = cell.init(jax.random.key(0), 2)
    xs = jnp.ones((B, T, 2))
    flow = lambda positions, loss=each, xs=xs: gradient_by_position(cell, params, xs, loss, positions)
    with pytest.raises(sj.ArgumentError, match=r"steps in 0 ... 5, or negative from the end, found \[6\]"):
        flow([6])
    with pytest.raises(sj.ArgumentError, match="positions must be a whole number of at least -6, found -7"):
        flow([-7])
    with pytest.raises(sj.ArgumentError, match="positions must be steps"):
        flow([])
    with pytest.raises(sj.ArgumentTypeError, match="positions must be a whole number, found 1.5"):
        flow([1.5])
    with pytest.raises(sj.ArgumentError, match=r"loss gave shape \(2,\), expected one number a step, \(2, 6\)"):
        flow([0], lambda ys: ys[:, -1, 0])
    with pytest.raises(sj.ArgumentError, match=r"loss gave shape \(2, 6, 2\)"):
        flow([0], lambda ys: ys)
    with pytest.raises(sj.ArgumentError, match="one batch axis.*Pass xs"):
        flow([0], xs=xs[0])
    with pytest.raises(sj.ArgumentError, match="found batch .* and 0 steps"):
        flow([0], xs=xs[:, :0])
    with pytest.raises(sj.ArgumentError, match="features"):
        flow([0], xs=jnp.ones((B, T, 3)))
    with pytest.raises(sj.ArgumentError, match="carry has"):
        gradient_by_position(cell, params, xs, each, [0], jnp.zeros((3, 2)))
