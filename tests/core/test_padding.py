"""What a cell reads in unreal steps is harmless, also to cells with infinite slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import Cell, Dense, Pointwise, bidirectional, scan, stack
from seqjax.diagnostics import gradient_flow
from seqjax.testing import check_cell

B, T, D = 3, 7, 4
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))
GAPS = np.ones((B, T), bool)
GAPS[:, 1] = GAPS[2] = False


class Speed(Cell):
    """How far the input has moved: an infinite slope where it has not."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"k": jnp.ones(1, dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, D), jnp.promote_types(params["k"].dtype, jnp.float32))

    def step(self, params, carry, x):
        moved = jnp.sqrt(jnp.sum((x - carry) ** 2, axis=-1, keepdims=True))
        y = moved * jnp.broadcast_to(params["k"], moved.shape)
        return x.astype(carry.dtype), y.astype(jnp.result_type(params["k"], x))


class Arctanh(Pointwise):
    """Defined between -1 and 1 alone."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"s": jnp.full(in_features, 0.9, dtype)}

    def apply(self, params, x):
        return jnp.sum(jnp.arctanh(x * jnp.broadcast_to(params["s"], x.shape)), axis=-1, keepdims=True)


@pytest.mark.parametrize("gradient", ["deferred", "autodiff"])
@pytest.mark.parametrize(
    "marks",
    [{"lengths": np.array([1, 1, 1])}, {"mask": GAPS}, {"mask": GAPS, "reverse": True}],
    ids=["one step", "gaps", "reverse"],
)
def test_an_unreal_step_reads_a_carry_that_belongs_to_its_input(gradient, marks):
    """The first real input beside the carry that it leaves was a pair that never occurs: NaN in every weight."""
    cell = stack(Dense(D), Speed())
    params = cell.init(jax.random.key(0), D)
    grads = jax.grad(lambda p: scan(cell, p, XS, gradient=gradient, **marks)[1].sum())(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    if "lengths" in marks:
        want = jax.grad(lambda p: scan(cell, p, XS[:, :1])[1].sum())(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), grads, want)


def test_both_directions_of_such_a_cell_and_its_flow():
    cell = stack(Dense(D), bidirectional(Speed()))
    params = cell.init(jax.random.key(0), D)
    grads = jax.grad(lambda p: scan(cell, p, XS, mask=GAPS)[1].sum())(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    flow = gradient_flow(cell, params, XS, lambda ys: ys.sum((1, 2)), mask=GAPS, outputs="all")
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grads))) / B
    np.testing.assert_allclose(np.exp(flow.parameters), norm, rtol=1e-5)


def test_a_row_without_real_steps_stays_within_the_domain():
    """It read numbers from 1 to 2."""
    params = Arctanh().init(jax.random.key(0), D)
    for lengths in ([0, 5, 2], [0, 0, 0]):
        f = lambda p, lengths=lengths: scan(Arctanh(), p, 0.5 * np.tanh(XS), lengths=np.array(lengths))[1].sum()
        assert np.all(np.isfinite(jax.grad(f)(params)["s"]))


def test_rows_whose_sum_is_no_float_give_a_mean():
    """It was inf, from which the gradient of a row without real steps was NaN."""
    cell = sj.RNN(3)
    params, xs = cell.init(jax.random.key(0), 2), np.full((4, 3, 2), 2e38, np.float32)
    grads = jax.grad(lambda p: scan(cell, p, xs, lengths=[3, 3, 3, 0])[1].sum())(params)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))


class Singular(sj.RNN):
    """It divides by the length of its input: padding must not be zeros."""

    def project(self, p, x):
        return super().project(p, x / jnp.linalg.norm(x, axis=-1, keepdims=True))


@pytest.mark.parametrize(
    "cell", [Singular(3), pytest.param(sj.stack(sj.Norm(epsilon=0.0), sj.LSTM(3)), marks=pytest.mark.slow)], ids=repr
)
def test_padding_is_harmless_to_cells_that_are_singular_at_zero(cell):
    check_cell(cell)
