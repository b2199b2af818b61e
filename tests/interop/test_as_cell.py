"""Flax modules as cells: each kind equals the module itself, in steps and at once; the whole law where it is marked."""

import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import seqjax as sj
from seqjax._internal.trees import select
from seqjax.interop import IN_FEATURES, as_cell
from seqjax.nn import FeedForward
from seqjax.testing import check_cell
from seqjax.testing.case import check_same
from tests.attending_cells import memory_for
from tests.interop.flax_modules import (
    Encoder,
    LinenAttention,
    LinenNoise,
    Normed,
    Perceptron,
    Windowed,
    cached_attention,
)

LONG = 320  # room for the longest sequence of the law

CELLS = {
    "protocol": as_cell(Windowed, IN_FEATURES, 4, rate=0.3),
    "memory": as_cell(Windowed, 4, 4, memory=3),
    "not causal": as_cell(Encoder, 4, 4),
    "RNN cell": as_cell(nnx.GRUCell, 4, 4),
    "pointwise": as_cell(Perceptron, 4),
    "dropout": as_cell(Perceptron, IN_FEATURES, rate=0.3),
    "cache": as_cell(cached_attention, 4, 2, LONG, rate=0.3),
    "Linen": as_cell(linen.Dense, 4),
    "Linen RNN cell": as_cell(linen.OptimizedLSTMCell, 4),
    "Linen cache": as_cell(LinenAttention, 2, LONG),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_law(name):
    cell = CELLS[name]
    check_cell(cell, 4, make_carry=memory_for(cell) if "memory" in cell.asks else None)


@pytest.mark.parametrize("name", [name for name in CELLS if CELLS[name].causal])
def test_steps_are_the_sequence(x64, name):
    """Outputs and carry, with gaps and resets, cut in two."""
    cell = CELLS[name]
    params = cell.init(jax.random.key(0), 4, jnp.float64)
    xs, mask = jax.random.normal(jax.random.key(1), (2, 6, 4)), np.array([[1, 1, 0, 1, 1, 1], [0, 1, 1, 1, 0, 0]], bool)
    resets = np.array([[0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0]], bool)
    given = {"key": jax.random.key(2), "memory": jax.random.normal(jax.random.key(3), (2, 5, 3))}
    start = cell.initial_carry(params, (2,), **{name: given[name] for name in cell.asks})
    carry, ys = sj.scan(cell, params, xs, start, mask=mask, resets=resets)
    middle, first = sj.scan(cell, params, xs[:, :3], start, mask=mask[:, :3], resets=resets[:, :3])
    after, second = sj.scan(cell, params, xs[:, 3:], middle, mask=mask[:, 3:], resets=resets[:, 3:])
    np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), ys, atol=1e-12)
    step, folded = jax.jit(cell.step), start
    for t in range(6):
        folded = select(jnp.asarray(resets[:, t]), cell.restart(params, folded, (2,)), folded)
        moved, y = step(params, folded, xs[:, t])
        folded = select(jnp.asarray(mask[:, t]), moved, folded)
        np.testing.assert_allclose(jnp.where(mask[:, t, None], y, 0), ys[:, t], atol=1e-12)
    check_same("the carry after two parts", after, carry, 1e-12)
    check_same("the carry after all steps", folded, carry, 1e-12)


def set_params(module, params):
    """The module with these parameters."""
    graph, own, rest = nnx.split(module, nnx.Param, ...)
    nnx.replace_by_pure_dict(own, params)
    return nnx.merge(graph, own, rest)


def test_it_computes_what_the_module_does():
    x, key = jax.random.normal(jax.random.key(1), (2, 5, 4)), jax.random.key(0)
    run = lambda cell, params: sj.scan(cell, params, x)[1]
    module = Perceptron(4, rngs=nnx.Rngs(key))
    params = CELLS["pointwise"].init(key, 4)
    chex.assert_trees_all_equal(params["norm"], nnx.to_pure_dict(nnx.state(module.norm)))
    assert sorted(params["layers"]) == ["0", "1"]
    np.testing.assert_array_equal(run(CELLS["pointwise"], params), module(x))
    cell = as_cell(cached_attention, 4, 2, 5)
    params = cell.init(key, 4)
    module = set_params(nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(1)), params)
    causal = nnx.make_causal_mask(x[..., 0])
    np.testing.assert_allclose(run(cell, params), module(x, mask=causal), atol=1e-6)
    params = CELLS["Linen"].init(key, 4)
    np.testing.assert_array_equal(run(CELLS["Linen"], params), linen.Dense(4).apply({"params": params}, x))
    params = CELLS["Linen RNN cell"].init(key, 4)
    want = linen.RNN(linen.OptimizedLSTMCell(4)).apply({"params": {"cell": params}}, x)
    np.testing.assert_allclose(run(CELLS["Linen RNN cell"], params), want, atol=1e-6)


def test_dropout_draws_by_the_key_of_the_example_and_the_number_of_the_step():
    xs = jnp.ones((2, 4, 8))
    for make in (
        as_cell(Windowed, 8, 64, rate=0.5),
        as_cell(nnx.Dropout, 0.5),
        as_cell(linen.Dropout, 0.5, deterministic=False),
    ):
        params = make.init(jax.random.key(0), 8)
        start = lambda seed: make.initial_carry(params, (2,), key=jax.random.key(seed))
        ys, again, other = (sj.scan(make, params, xs, start(seed))[1] for seed in (0, 0, 1))
        np.testing.assert_array_equal(ys, again)
        zeros = np.asarray(ys == 0)
        assert 0.3 < zeros.mean() < 0.7 and (zeros != np.asarray(other == 0)).any()
        assert (zeros[0] != zeros[1]).any() and (zeros[:, 0] != zeros[:, 1]).any()  # rows and steps differ
        padded = sj.scan(make, params, xs, start(0), mask=np.array([[0, 1, 1, 1]] * 2, bool))[1]
        np.testing.assert_array_equal(padded[:, 1:] == 0, zeros[:, :3])  # an unreal step draws nothing
        whole = sj.scan(make.evaluation(), params, xs)[1]
        assert make.evaluation().asks == frozenset() and not (np.asarray(whole) == 0).any()
        assert make.evaluation().evaluation() == make.evaluation()


def test_a_cell_is_a_value():
    for cell in CELLS.values():
        other = pickle.loads(pickle.dumps(cell))
        assert other == cell and hash(other) == hash(cell) and repr(other) == repr(cell)
    assert as_cell(nnx.Linear, 3, 4) != as_cell(nnx.Linear, 3, 4, use_bias=False) != as_cell(nnx.Linear, 3, 5)
    assert repr(CELLS["protocol"]) == "as_cell(Windowed, IN_FEATURES, 4, rate=0.3)"
    assert repr(as_cell(linen.Dense, 4, use_bias=False)) == "as_cell(linen.Dense, 4, use_bias=False)"
    inside = sj.stack(sj.Dropout(0.5), CELLS["dropout"])
    assert repr(inside.evaluation()) == "stack(Dropout(0.0), as_cell(Evaluation(Perceptron), IN_FEATURES, rate=0.3))"
    assert as_cell(nnx.Linear, IN_FEATURES, 4).size(7) == 4 and as_cell(nnx.Linear, 3, 4).out_features is None


def test_init_is_a_function_of_its_key_also_within_jit():
    cell = sj.stack(sj.RNN(6), CELLS["protocol"])
    params = cell.init(jax.random.key(3), 2)
    chex.assert_trees_all_close(jax.jit(lambda key: cell.init(key, 2))(jax.random.key(3)), params, rtol=1e-6)
    many = jax.vmap(lambda key: cell.init(key, 2))(jax.random.split(jax.random.key(0), 3))
    ys = jax.vmap(lambda p, c: sj.scan(cell, p, jnp.ones((4, 2)), c)[1])(
        many, jax.vmap(lambda p, k: cell.initial_carry(p, key=k))(many, jax.random.split(jax.random.key(1), 3))
    )
    assert ys.shape == (3, 4, 4)


WRONG = {
    "a module, not a call": (lambda: as_cell(nnx.Linear(3, 4, rngs=nnx.Rngs(0))), "found a module"),
    "a module of Linen": (lambda: as_cell(linen.Dense(4)), "found a module"),
    "a module among the arguments": (lambda: as_cell(nnx.RNN, nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))), "no value"),
    "no callable": (lambda: as_cell("Linear", 3), "found 'Linear'"),
    "rngs": (lambda: as_cell(nnx.Linear, 3, 4, rngs=nnx.Rngs(0)), "leave them out"),
    "a list": (lambda: as_cell(nnx.Conv, 3, 4, [3]), "A tuple in place of a list"),
    "no module comes out": (lambda: as_cell(dict).init(jax.random.key(0), 3), "must make a module"),
    "too few arguments": (lambda: as_cell(nnx.Linear, 3).init(jax.random.key(0), 3), "cannot be made: .*out_features"),
    "another width": (lambda: as_cell(nnx.Linear, 3, 4).init(jax.random.key(0), 5), "not take inputs of 5 features"),
    "BatchNorm": (lambda: as_cell(Normed, 3).init(jax.random.key(0), 3), "statistics over a batch"),
    "BatchNorm of Linen": (lambda: as_cell(linen.BatchNorm, True).init(jax.random.key(0), 3), "statistics over a batch"),
    "an old key": (lambda: as_cell(nnx.Linear, 3, 4).init(jax.random.PRNGKey(0), 3), "old style"),
    "no key for dropout": (lambda: sj.scan(CELLS["dropout"], CELLS["dropout"].init(jax.random.key(0), 4), jnp.ones((2, 4))), "draws random numbers"),
    "no memory": (lambda: CELLS["memory"].initial_carry({}), "memory"),
    "ids for vectors": (lambda: sj.scan(as_cell(nnx.Linear, 3, 4), {}, np.ones((2, 3), int)), "floating point|lacks"),
    "vectors for ids": (lambda: scan_ids(np.ones((2, 3))), "integer dtype"),
    "an id out of range": (lambda: scan_ids(np.array([[1, 5]])), "id 5"),
    "ConvLSTM": (lambda: as_cell(linen.ConvLSTMCell, 4, (3,)).init(jax.random.key(0), 3), "no vectors"),
    "evaluation of Linen": (lambda: as_cell(LinenNoise, 3).evaluation().init(jax.random.key(0), 3), "deterministic"),
}  # fmt: skip


def scan_ids(ids):
    cell = as_cell(nnx.Embed, 5, 4)
    return sj.scan(cell, cell.init(jax.random.key(0), 0), ids)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name):
    call, message = WRONG[name]
    with pytest.raises((sj.ArgumentError, sj.ArgumentTypeError), match=message):
        call()


def test_norms_of_flax_are_cells():
    for cell in (as_cell(nnx.RMSNorm, 4), as_cell(linen.RMSNorm)):
        xs = jax.random.normal(jax.random.key(0), (2, 3, 4))
        ys = sj.scan(cell, cell.init(jax.random.key(1), 4), xs)[1]
        np.testing.assert_allclose(jnp.mean(ys**2, axis=-1), 1, atol=1e-4)


def test_a_module_without_a_carry_is_a_map_of_vectors():
    cell = sj.stack(as_cell(FeedForward, 4), as_cell(nnx.Linear, 4, 2))
    assert sj.scan(cell, cell.init(jax.random.key(0), 4), jnp.ones((2, 3, 4)))[1].shape == (2, 3, 2)
