"""Gradient flow through trees of cells: against probes in plain autodiff, closed forms, and what used to be wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, RNN, Dense, Dropout, Embed, bidirectional, repeat, residual, scan, stack, trace
from seqjax.diagnostics import gradient_flow
from seqjax.interop import as_cell
from seqjax.nn import TransformerBlock
from tests.attending_cells import AttendingLSTM, SelfAttention, WindowAttention
from tests.own_cells import LRU, Peephole, TreeCell, Zoneout, mixed_tree, tokens

B, T = 3, 5
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 1, 1, 0, 0]], bool)


def all_outputs(ys):
    leaves = jax.tree.leaves(ys)
    return sum(jnp.sum(jnp.sin(y + jnp.arange(y.size).reshape(y.shape)), axis=(1, 2)) for y in leaves)


def linear(w, dtype="float32"):
    cell = RNN(1, activation="identity")
    params = cell.init(jax.random.key(0), 1, dtype)
    return cell, params | {
        "mix": {"kernel": jnp.full((1, 1), w, dtype)},
        "project": {"kernel": jnp.ones((1, 1), dtype), "bias": jnp.zeros(1, dtype)},
    }


def vectors(key, shape):
    return jax.random.normal(key, (*shape, 2), jnp.float64)


MODELS = [
    (stack(Embed(5, 3), bidirectional(LSTM(2)), residual(GRU(4)), Dropout(0.3), Dense(2)), tokens),
    (stack(rnn=bidirectional(stack(RNN(2), GRU(2)), merge="product"), out=Dense(3, activation="tanh")), vectors),
    (stack(repeat(residual(LSTM(2)), 2), bidirectional(GRU(2), merge="pair")), vectors),
    (stack(WindowAttention(3), LSTM(2)), vectors),
    (stack(RNN(2), SelfAttention(3), GRU(2, reset_after=False)), vectors),
    (stack(Embed(5, 4), LSTM(4), as_cell(TransformerBlock, 4, 2, capacity=8), GRU(4)), tokens),
    (Zoneout(LSTM(2), 0.3), vectors),
    (Peephole(3), vectors),
    (stack(sj.MinLSTM(2), residual(sj.MinGRU(2)), sj.LRU(3)), vectors),
    (TreeCell(3), mixed_tree),
]


SLOW = (2, 9)  # repeat has a test of its own, and other models are bidirectional; a loop is a loop for linear cells


@pytest.mark.parametrize(
    "cell, make_xs",
    [pytest.param(*model, marks=pytest.mark.slow if i in SLOW else []) for i, model in enumerate(MODELS)],
    ids=[repr(cell) for cell, _ in MODELS],
)
def test_every_layer_equals_plain_probes(x64, cell, make_xs):
    """Whole derivatives in all that a trace sees, those of inputs, and the parameters' gradient, with gaps in the mask."""
    params = (
        cell.init(jax.random.key(0), 2, "float64")
        if cell.feature_axes != 0
        else cell.init(jax.random.key(0), 1, "float64")
    )
    xs = make_xs(jax.random.key(1), (B, T))
    given = {"key": jax.random.key(2)} if cell.asks else {}
    carry = cell.initial_carry(params, (B,), **given)
    flow = gradient_flow(cell, params, xs, all_outputs, carry if given else None, mask=MASK, outputs="all")

    def loss(params, xs, add):
        start = carry if given else cell.initial_carry(params, (B,))
        last, ys, seen = trace(cell, params, xs, start, mask=MASK, add=add)
        return jnp.sum(all_outputs(ys)), seen

    seen = jax.eval_shape(lambda: loss(params, xs, {})[1])
    deep = any(isinstance(part, sj.combinators.Repeat) for part in getattr(cell, "cells", (cell,)))
    # A step sees the weights of a cache, all steps those of each other: of what may not be attended to they differ.
    names = [name for name in seen if name in flow.layers and not name.endswith("weights")]
    assert deep or not {name for name in flow.layers if name not in seen}
    if cell == MODELS[0][0]:
        assert {"0/y", "1/forward/c", "1/backward/f", "2/u", "2/h", "2/sum", "4/y"} <= set(names)
    probes = {name: jnp.zeros(seen[name].shape, seen[name].dtype) for name in names}
    wanted = jax.jit(jax.grad(lambda p, add: loss(p, xs, add)[0], argnums=(0, 1), allow_int=True))
    dparams, dprobes = wanted(params, probes)
    for name in names:
        norms = np.linalg.norm(np.abs(dprobes[name]).reshape(B, T, -1), axis=-1)
        got = np.exp(np.asarray(flow.layers[name]))
        np.testing.assert_allclose(got[MASK], norms[MASK], rtol=1e-9, atol=1e-14, err_msg=name)
        assert np.all(np.isnan(got[~MASK]))
    norm = np.sqrt(sum(np.sum(np.abs(leaf) ** 2) for leaf in jax.tree.leaves(dparams))) / B
    np.testing.assert_allclose(np.exp(flow.parameters), norm, rtol=1e-9)
    np.testing.assert_allclose(flow.loss, all_outputs(scan(cell, params, xs, carry, mask=MASK)[1]), rtol=1e-12)
    if make_xs is vectors:
        dxs = jax.jit(jax.grad(lambda xs: loss(params, xs, {})[0]))(xs)
        np.testing.assert_allclose(np.exp(flow.inputs)[MASK], np.linalg.norm(dxs, axis=-1)[MASK], rtol=1e-9)
    else:
        assert flow.inputs is None or cell.feature_axes == TreeCell.feature_axes


@pytest.mark.slow  # the law has repeat, and the test above has layers
def test_a_repeated_cell_is_walked_layer_by_layer(x64):
    cell = repeat(residual(GRU(2)), 3)
    params = cell.init(jax.random.key(0), 2, "float64")
    xs = vectors(jax.random.key(1), (B, T))
    layers = stack(*[residual(GRU(2))] * 3)
    apart = {str(i): jax.tree.map(lambda p, i=i: p[i], params) for i in range(3)}
    got, want = (gradient_flow(c, p, xs, all_outputs, outputs="all") for c, p in ((cell, params), (layers, apart)))
    np.testing.assert_allclose(got.parameters, want.parameters)
    assert {f"layer/{name}" for name in want.layers} == got.layers.keys()
    got = got._replace(
        layers={name.removeprefix("layer/"): logs for name, logs in got.layers.items()},
        parts={name.removeprefix("layer"): logs for name, logs in got.parts.items()},
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), got, want)


def test_path_through_the_carry_beside_the_whole_derivative():
    """y = h, loss = the sum of all outputs, h' = w h + x: dL/dh_t = 1 + w + ... + w^(T-t), of which 1 is the output's own."""
    cell, params = linear(0.5, "float32")
    flow = gradient_flow(cell, params, jnp.ones((1, 4, 1)), lambda ys: jnp.sum(ys, axis=(1, 2)), outputs="all")
    np.testing.assert_allclose(np.exp(flow.layers["h"][0]), [1.875, 1.75, 1.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(np.exp(flow.parts[""][0]), [0.5, 0.75, 0.875, 0.9375], rtol=1e-6)  # by distance 1 ... 4
    np.testing.assert_allclose(np.exp(flow.joint[0]), [1.0, 0.5, 0.75, 0.875, 0.9375], rtol=1e-6)
    np.testing.assert_allclose(np.exp(flow.layers["y"][0]), 1.0)


def test_a_direction_that_is_read_backwards():
    """The backward state at t is in outputs 1 ... t: dL/dh_t = 1 + w + ... + w^(t-1); the last output alone sees one step."""
    cell, one = linear(0.5)
    both, params = bidirectional(cell, merge="sum"), {"forward": one, "backward": one}
    xs = jnp.ones((1, 4, 1))
    flow = gradient_flow(both, params, xs, lambda ys: jnp.sum(ys, axis=(1, 2)), outputs="all")
    np.testing.assert_allclose(np.exp(flow.layers["backward/h"][0]), [1.0, 1.5, 1.75, 1.875], rtol=1e-6)
    np.testing.assert_allclose(np.exp(flow.layers["forward/h"][0]), [1.875, 1.75, 1.5, 1.0], rtol=1e-6)
    flow = gradient_flow(both, params, xs, lambda y: y[:, 0])
    np.testing.assert_array_equal(flow.layers["backward/h"][0], [-np.inf, -np.inf, -np.inf, 0.0])
    np.testing.assert_allclose(np.exp(flow.layers["forward/h"][0]), [0.125, 0.25, 0.5, 1.0], rtol=1e-6)


def test_complex_states():
    """A complex diagonal cell gave -inf at every distance: |dL/dh| = |a|^k."""
    cell = LRU(1)
    params = cell.init(jax.random.key(0), 1)
    params = params | {
        "decay": jnp.asarray([np.log(-np.log(0.9)) + 0.7j], jnp.complex64),
        "out": jnp.ones((1, 1), jnp.complex64),
    }
    flow = gradient_flow(cell, params, jnp.ones((1, 300, 1)), lambda y: y[:, 0])
    np.testing.assert_allclose(flow.parts[""][0], np.arange(1, 301) * np.log(0.9), rtol=1e-4)


def test_a_learned_carry_is_a_parameter(x64):
    cell = LSTM(2, learned_carry=True)
    params = jax.tree.map(lambda p: p + 0.1, cell.init(jax.random.key(0), 2, "float64"))
    xs = vectors(jax.random.key(1), (B, T))
    loss = lambda y: jnp.sum(jnp.sin(y), axis=-1)
    grads = jax.grad(lambda p: jnp.mean(loss(scan(cell, p, xs)[1][:, -1])))(params)
    norm = lambda tree: np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(tree)))
    np.testing.assert_allclose(np.exp(gradient_flow(cell, params, xs, loss).parameters), norm(grads), rtol=1e-10)
    assert norm(grads["carry"]) > 1e-3
    del grads["carry"]  # a carry that was given is no parameter
    given = gradient_flow(cell, params, xs, loss, cell.initial_carry(params, (B,)))
    np.testing.assert_allclose(np.exp(given.parameters), norm(grads), rtol=1e-10)


def test_a_layer_far_below_the_others_is_still_seen():
    """One layer at 1e-3^k beside one at 1: in one scale for both it was -inf from k = 15 on."""
    first, p = linear(1.0)
    second, q = linear(1e-3)
    flow = gradient_flow(stack(first, second), {"0": p, "1": q}, jnp.ones((1, 100, 1)), lambda y: y[:, 0])
    np.testing.assert_allclose(flow.parts["[1]"][0], np.arange(1, 101) * np.log(1e-3), rtol=1e-5)
    np.testing.assert_allclose(flow.parts["[0]"][0][-1], np.log(1 / (1 - 1e-3)), rtol=1e-3)


def test_scales_do_not_drift():
    """A sum of 20,000 rounded logarithms was off by a factor of 73."""
    cell, params = linear(0.3)
    flow = gradient_flow(cell, params, jnp.ones((1, 20_000, 1)), lambda y: y[:, 0])
    want = np.arange(1, 20_001) * np.log(np.float64(np.float32(0.3)))
    np.testing.assert_allclose(flow.parts[""][0], want, atol=0.01)


@pytest.mark.parametrize("w, power", [(2.0, 1), (0.25, -2)])
def test_hundred_thousand_steps(w, power):
    cell, params = linear(w)
    flow = jax.jit(lambda x: gradient_flow(cell, params, x, lambda y: y[:, 0]).parts[""][0, -1])(
        jnp.zeros((1, 100_000, 1))
    )
    np.testing.assert_allclose(flow, 100_000 * power * np.log(2), rtol=1e-6)


def temp_bytes(cell, length, carry=None):
    params = cell.init(jax.random.key(0), 4)
    f = lambda p, x: gradient_flow(cell, p, x, lambda y: jnp.sum(y, axis=-1), carry).joint
    xs = jax.ShapeDtypeStruct((2, length, 4), jnp.float32)
    return jax.jit(f).lower(params, xs).compile().memory_analysis().temp_size_in_bytes


def test_memory_does_not_grow_with_caches():
    """Of a cache of 2 x 512 x 8 floats a row, sqrt(T) copies a pass are kept and not T: 16 times the steps, under 6 times as much."""
    short, long = (temp_bytes(WindowAttention(8, 512), t) for t in (64, 1024))
    cache = 2 * (2 * 512 * 8 + 512) * 4
    assert long < 6 * short
    assert long < 0.2 * 1024 * cache


def test_memory_that_is_held_is_not_copied_at_all():
    cell = AttendingLSTM(4)
    params = cell.init(jax.random.key(0), 4)
    small, large = (
        temp_bytes(cell, 256, cell.initial_carry(params, (2,), memory=jnp.ones((2, s, 4)))) for s in (1, 4096)
    )
    memory = 2 * 4096 * 4 * 4
    assert large - small < 6 * memory  # products of one step; a stack over time would be 256


def test_what_cannot_be_right_is_named():
    cell = LSTM(2)
    params = cell.init(jax.random.key(0), 2)
    xs = jnp.ones((B, T, 2))
    first = lambda y: y[:, 0]
    with pytest.raises(sj.ArgumentError, match="carry has the structure"):
        gradient_flow(cell, params, xs, first, jnp.zeros((B, 2)))
    with pytest.raises(sj.ArgumentError, match=r"carry.c has shape \(4, 2\)"):
        gradient_flow(cell, params, xs, first, cell.initial_carry(params, (4,)))
    with pytest.raises(sj.ArgumentError, match="outputs must be"):
        gradient_flow(cell, params, xs, first, outputs="mean")
    with pytest.raises(sj.ArgumentError, match="one number a row"):
        gradient_flow(cell, params, xs, lambda y: y)
    model = stack(Embed(5, 2), cell)
    with pytest.raises(sj.ArgumentError, match="token id 7"):
        gradient_flow(model, model.init(jax.random.key(0), 1), np.full((B, T), 7), first)
    random = stack(Dropout(0.5), cell)
    with pytest.raises(sj.ArgumentError, match="draws random numbers"):
        gradient_flow(random, random.init(jax.random.key(0), 2), xs, first)
    with pytest.raises(sj.ArgumentError, match="one curve over distance"):
        sj.diagnostics.half_life(gradient_flow(cell, params, xs, first).joint)
