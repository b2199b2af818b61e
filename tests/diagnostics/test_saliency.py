"""Saliency: closed forms of linear cells, completeness, and against plain autodiff and plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, RNN, Embed, bidirectional, scan, stack
from seqjax.diagnostics import saliency

MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1]], bool)
B, T = MASK.shape
IDS = np.array([[1, 2, 3, 4], [0, 4, 0, 2]])


def first(y):
    return y[:, 0]


def all_outputs(ys):
    return jnp.sum(jnp.sin(ys), axis=(1, 2))


@pytest.mark.parametrize("method", ["gradient_input", "integrated", "occlusion"])
def test_a_linear_cell_is_the_sum_of_its_steps(method):
    """y_T = sum_t w^(T-t) x_t + what the biases give: the terms of the sum, by every method."""
    cell = RNN(1, activation="identity")
    params = cell.init(jax.random.key(0), 1)
    params["mix"]["kernel"], params["project"]["kernel"] = jnp.array([[0.5]]), jnp.ones((1, 1))
    params["project"]["bias"] = jnp.array([7.0])
    xs = jnp.array([[1.0, -2.0, 3.0, 4.0]])[..., None]
    np.testing.assert_allclose(saliency(cell, params, xs, first, method), [[1 / 8, -2 / 4, 3 / 2, 4]], rtol=1e-5)
    ones = saliency(cell, params, xs, first, method, baseline=1.0)
    np.testing.assert_allclose(ones, [[0, -3 / 4, 2 / 2, 3]], rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def both():
    """A model that reads both directions, with ids."""
    with jax.enable_x64(True):
        model = stack(Embed(5, 3), bidirectional(GRU(2)))
        return model, jax.tree.map(lambda p: 2 * p, model.init(jax.random.key(0), 1, "float64"))


def embedded_loss(both, mask=MASK):
    """The loss `[B]` as a function of the embedded inputs."""
    model, params = both
    rest = model.parts["1"]
    return lambda es: all_outputs(scan(rest, params["1"], es, mask=mask)[1])


def test_gradient_times_embedding(x64, both):
    model, params = both
    table = params["0"]["table"]
    grads = jax.jit(jax.grad(lambda es: jnp.sum(embedded_loss(both)(es))))(table[IDS])
    got = saliency(model, params, IDS, all_outputs, mask=MASK, outputs="all")
    np.testing.assert_allclose(got[MASK], np.sum(table[IDS] * grads, -1)[MASK], rtol=1e-9)
    np.testing.assert_array_equal(np.isnan(got), ~MASK)


def test_integrated_gradients_are_complete(x64, both):
    """Their sum is L(v) - L(b)."""
    model, params = both
    base = jnp.full(3, 0.3)
    got = saliency(model, params, IDS, all_outputs, "integrated", mask=MASK, outputs="all", baseline=base, points=64)
    values = params["0"]["table"][IDS]
    loss = jax.jit(embedded_loss(both))
    np.testing.assert_allclose(
        np.nansum(got, axis=1), loss(values) - loss(jnp.broadcast_to(base, values.shape)), rtol=1e-7
    )


def test_occlusion_and_masking_by_loops(x64, both):
    model, params = both
    run = jax.jit(lambda ids, mask: all_outputs(scan(model, params, ids, mask=mask)[1]))
    options = {"mask": MASK, "outputs": "all"}
    by_id = saliency(model, params, IDS, all_outputs, "occlusion", baseline=0, **options)
    masked = saliency(model, params, IDS, all_outputs, "masking", **options)
    by_zero = saliency(model, params, IDS, all_outputs, "occlusion", **options)
    loss = jax.jit(embedded_loss(both))
    for t in range(T):
        now = np.arange(T) == t
        real = MASK[:, t]
        for got, other in (
            (by_id, run(np.where(now, 0, IDS), MASK)),
            (masked, run(IDS, MASK & ~now)),
            (by_zero, loss(jnp.where(now[None, :, None], 0, params["0"]["table"][IDS]))),
        ):
            np.testing.assert_allclose(got[real, t], (run(IDS, MASK) - other)[real], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_attention_blocks_and_values_within(x64):
    """Completeness at the inputs and at the output of the layer below attention."""
    cell = sj.cell_from_text("stack(LSTM(4), as_cell(TransformerBlock, 4, 2, capacity=8))")
    params = cell.init(jax.random.key(0), 4, jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (2, 5, 4))
    loss = lambda y: jnp.sum(jnp.sin(y), axis=-1)
    value = lambda xs: loss(scan(cell, params, xs)[1][:, -1])
    base = 1.2 * xs  # on a way far from zero, at which layer norms are steep
    got = saliency(cell, params, xs, loss, "integrated", points=64, baseline=base)
    np.testing.assert_allclose(got.sum(1), value(xs) - value(base), rtol=1e-6)
    within = saliency(cell, params, xs, loss, at="0/y")
    hs = scan(cell.parts["0"], params["0"], xs)[1]
    top = lambda hs: jnp.sum(loss(scan(cell.parts["1"], params["1"], hs)[1][:, -1]))
    np.testing.assert_allclose(within, np.sum(hs * jax.grad(top)(hs), -1), rtol=1e-8)


@pytest.mark.slow
def test_inside_jit():
    cell = RNN(2)
    params = cell.init(jax.random.key(0), 2)
    xs = jax.random.normal(jax.random.key(1), (1, 3, 2))
    got = jax.jit(lambda xs: saliency(cell, params, xs, first))(xs)
    np.testing.assert_allclose(got, saliency(cell, params, xs, first), rtol=1e-5)


def test_what_cannot_be_right_is_named():
    cell, model = RNN(2), stack(Embed(5, 2), RNN(2))
    params, own = cell.init(jax.random.key(0), 2), model.init(jax.random.key(0), 1)
    xs = jnp.ones((2, 3, 2))
    with pytest.raises(sj.ArgumentError, match="no method 'gradient'.*meant 'gradient_input'.*occlusion"):
        saliency(cell, params, xs, first, "gradient")
    with pytest.raises(sj.ArgumentError, match="saliency: outputs must be"):
        saliency(cell, params, xs, first, outputs="mean")
    with pytest.raises(sj.ArgumentError, match="saliency: loss gave shape"):
        saliency(cell, params, xs, lambda y: y)
    with pytest.raises(sj.ArgumentError, match="saliency: xs must have one batch axis"):
        saliency(cell, params, xs[0], first)
    with pytest.raises(sj.ArgumentError, match="points must be a whole number of at least 1"):
        saliency(cell, params, xs, first, "integrated", points=0)
    with pytest.raises(sj.ArgumentError, match="has no value 'f' to be seen"):
        saliency(cell, params, xs, first, at="f")
    with pytest.raises(sj.ArgumentError, match=r"baseline has shape \(3,\), expected one for \(2, 3, 2\)"):
        saliency(cell, params, xs, first, baseline=jnp.zeros(3))
    with pytest.raises(sj.ArgumentError, match="token id 9"):
        saliency(model, own, IDS, first, "occlusion", baseline=9)
    with pytest.raises(sj.ArgumentError, match="token ids have no gradient, and Embed.* is no stack"):
        saliency(Embed(5, 2), own["0"], IDS, first)
    with pytest.raises(sj.ArgumentError, match="features"):
        saliency(cell, params, jnp.ones((2, 3, 5)), first)
