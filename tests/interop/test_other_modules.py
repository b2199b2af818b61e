"""Modules that were cells but wrong ones, or that failed with an error of something else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import seqjax as sj
from seqjax.interop import IN_FEATURES, as_cell
from seqjax.nn import MultiHeadAttention, Recurrent
from tests.interop.flax_modules import LinenAttention, cached_attention

XS = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)


class Called(nnx.Module):
    """What a function of all vectors makes of them."""

    def __init__(self, function, *, rngs):
        self.function = function

    def __call__(self, x):
        return self.function(x)


def turn_rows(x):
    return x[::-1]


def subtract_mean(x):
    return x - x.mean(tuple(range(x.ndim - 1)), keepdims=True)


def pool_steps(x):
    return jnp.broadcast_to(jnp.max(x, axis=-2, keepdims=True), x.shape) if x.ndim > 1 else x


def shift_steps(x):
    return jnp.roll(x, 3, axis=-2) if x.ndim > 1 else x


class TurnedIds(linen.Embed):
    def __call__(self, ids):
        return super().__call__(ids[::-1] if ids.ndim else ids)


MIXING = {
    "GroupNorm takes its mean over time": as_cell(linen.GroupNorm, 2),
    "the mean of a batch": as_cell(Called, subtract_mean),
    "rows turned round": as_cell(Called, turn_rows),
    "the largest of all steps": as_cell(Called, pool_steps),
    "the step three before": as_cell(Called, shift_steps),
    "ids of another row": as_cell(TurnedIds, 5, 4),
}


@pytest.mark.parametrize("name", MIXING)
def test_a_module_that_mixes_rows_or_steps_became_a_cell(name):
    cell, features = MIXING[name], 0 if "ids" in name else 4
    with pytest.raises(sj.ArgumentError, match="one row or step acts on what comes out for another"):
        cell.init(jax.random.key(0), features)
    with pytest.raises(sj.ArgumentError, match="one row or step"), jax.debug_nans(True):
        jax.jit(lambda key: cell.init(key, features))(jax.random.key(0))


def test_modules_that_mix_nothing_are_cells_still():
    for cell in (as_cell(Called, jnp.tanh), as_cell(linen.LayerNorm), as_cell(linen.Embed, 5, 4)):
        jax.jit(lambda key: cell.init(key, 0 if cell.feature_axes == 0 else 4))(jax.random.key(0))


class RandomFeatures(nnx.Module):
    """cos(W x + b) / scale, W drawn and not learned (Rahimi & Recht 2007), with arrays as they are."""

    def __init__(self, n, *, rngs):
        self.w = nnx.Variable(rngs.params.normal((n, 3)))
        self.b = rngs.params.uniform(())
        self.scale, self.shift = jnp.sqrt(3.0), np.ones((), np.float32)

    def __call__(self, x):
        return jnp.cos(x @ self.w[...] + self.b) / self.scale + self.shift


class LinenFeatures(linen.Module):
    @linen.compact
    def __call__(self, x):
        draw = lambda: jax.random.normal(self.make_rng("params"), (x.shape[-1], 3))
        return linen.Dense(2)(jnp.cos(x @ self.variable("features", "w", draw).value))


def test_random_features_were_of_key_0_whatever_the_key_of_init():
    cell = as_cell(RandomFeatures, 4)
    params, other = (jax.jit(lambda key: cell.init(key, 4))(jax.random.key(seed)) for seed in (3, 4))
    assert sorted(params) == ["b", "w"] and not np.allclose(params["w"], other["w"])
    module = RandomFeatures(4, rngs=nnx.Rngs(jax.random.key(3)))
    for resets in (None, np.ones((2, 5), bool)):
        np.testing.assert_allclose(sj.scan(cell, params, XS, resets=resets)[1], module(XS), atol=1e-6)
    grads = jax.grad(lambda p: sj.scan(cell, p, XS)[1].sum())(params)
    assert not any(map(jnp.any, jax.tree.leaves(grads)))  # they are not learned
    cell = as_cell(LinenFeatures)
    params = cell.init(jax.random.key(3), 4)
    assert sorted(params) == ["Dense_0", "features"]
    found = {"params": {"Dense_0": params["Dense_0"]}, "features": params["features"]}
    np.testing.assert_allclose(sj.scan(cell, params, XS)[1], LinenFeatures().apply(found, XS), atol=1e-6)


class Shuffled(nnx.Module):
    def __init__(self, n, *, rngs):
        self.order = nnx.Variable(jax.random.permutation(rngs.params(), n))

    def __call__(self, x):
        return x[..., self.order[...]]


def test_drawn_integers_cannot_be_parameters():
    with pytest.raises(sj.ArgumentError, match="draws its variable 'order', which is not of floats"):
        as_cell(Shuffled, 64).init(jax.random.key(0), 64)


@pytest.mark.parametrize("cell", [as_cell(cached_attention, 4, 2, 4), as_cell(LinenAttention, 2, 4)], ids=repr)
def test_a_full_cache_of_flax_was_overwritten_without_a_word(cell):
    params = cell.init(jax.random.key(0), 4)
    run = jax.jit(lambda carry, xs: sj.scan(cell, params, xs, carry))
    carry, ys = run(cell.initial_carry(params, (2,)), XS[:, :3])
    assert jnp.all(jnp.isfinite(ys))
    ys = run(carry, XS[:, :2])[1]
    assert jnp.all(jnp.isfinite(ys[:, 0])) and jnp.all(jnp.isnan(ys[:, 1]))
    with pytest.raises(sj.ArgumentError, match="holds 4 tokens"):
        sj.scan(cell, params, XS[:, :2], carry)


def test_attention_in_both_directions_was_no_cell():
    """Its mask is of pairs, that of the protocol of tokens; padding and other sequences are not seen."""
    cell = as_cell(MultiHeadAttention, IN_FEATURES, 2, positions="rotary")
    params = cell.init(jax.random.key(0), 4)
    run = lambda xs, **options: sj.scan(cell, params, xs, **options)[1]
    assert not cell.causal
    module = MultiHeadAttention(4, 2, positions="rotary", rngs=nnx.Rngs(jax.random.key(0)))
    np.testing.assert_allclose(run(XS), module(XS), atol=1e-6)
    np.testing.assert_allclose(run(XS, lengths=[5, 3])[1, :3], module(XS[1, :3]), atol=1e-6)
    packed = run(XS, resets=np.arange(5)[None] == np.array([[2], [2]]))
    np.testing.assert_allclose(packed, np.concatenate([module(XS[:, :2]), module(XS[:, 2:])], axis=1), atol=1e-6)
    dropping = as_cell(MultiHeadAttention, 4, 2, dropout=0.5)
    sj.scan(dropping, params, XS, dropping.initial_carry(params, (2,), key=jax.random.key(1)))


class WithRNN(nnx.Module):
    def __init__(self, n, *, rngs):
        self.rnn = nnx.RNN(nnx.GRUCell(n, n, rngs=rngs))

    def __call__(self, x):
        return self.rnn(x)


@pytest.mark.parametrize(
    "cell, message",
    [
        (as_cell(Recurrent, sj.LSTM(3), 4), r"Recurrent reads a whole sequence.* Use its cell, LSTM\(3\)"),
        (as_cell(WithRNN, 4), r"RNN reads a whole sequence.* Use its cell, as_cell\(GRUCell, \.\.\.\)"),
    ],
)
def test_a_module_that_scans_gave_an_error_about_axes(cell, message):
    with pytest.raises(sj.ArgumentError, match=message):
        cell.init(jax.random.key(0), 4)


SPELLED = [
    as_cell(nnx.Linear, 4, 3, dtype=jnp.bfloat16, param_dtype=np.float32),
    as_cell(linen.Dense, 3, dtype=np.dtype("float32"), kernel_init=nnx.initializers.ones_init()),
    as_cell(nnx.SimpleCell, 4, 3, activation_fn=nnx.relu),
    as_cell(nnx.SimpleCell, 4, 3, activation_fn=jnp.tanh),
    as_cell(linen.Dense, 3, precision=jax.lax.Precision.HIGHEST),
    as_cell(linen.MultiHeadDotProductAttention, 2, attention_fn=linen.dot_product_attention),
]


@pytest.mark.parametrize("cell", SPELLED, ids=repr)
def test_dtypes_and_functions_could_be_saved_but_not_loaded(cell):
    assert sj.cell_from_text(repr(cell)) == cell


def test_a_cell_with_a_dtype_is_saved_and_read_back(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
    from seqjax.checkpoint import load, save_model

    cell = sj.stack(SPELLED[0], SPELLED[2].__class__(nnx.Linear, (IN_FEATURES, 2)))
    save_model(tmp_path, cell, cell.init(jax.random.key(0), 4), in_features=4)
    assert load(tmp_path).cell == cell
