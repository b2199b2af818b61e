"""The law over the table, and proof that the checker sees a broken cell."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from jax.test_util import check_grads

import seqjax as sj
from seqjax.testing import Case, LawError, check_cell, vectors
from seqjax.testing.case import along_directions
from tests.table import TABLE

MAY_BE_LEFT_OUT = {
    "sequence_is_the_fold_of_step": "reads both directions",
    "outputs_do_not_see_the_future": "reads both directions",
    "batch_rows_do_not_touch": "whole numbers",
    "reverse_is_the_flip": "reads both directions",
    "vmap_over_params": "no parameters",
    "resets_cut": "does not begin as it did",
    "a_fresh_carry_need_not_be_given": "asks for",
    "what_is_held_stays": "nothing is held",
}


@pytest.mark.parametrize("row", TABLE, ids=[repr(row.cell) for row in TABLE])
def test_law(row):
    report = check_cell(row.cell, make_xs=row.make_xs, make_carry=row.make_carry)
    for law, result in report.items():
        assert result == "holds" or MAY_BE_LEFT_OUT[law] in result, (law, result)


FEW = ("LSTM(4)", "GRU(4)", "GRU(3, reset_after=False)", "stack(RNN(3), LSTM(3), GRU(3))")


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if repr(row.cell) in FEW else pytest.mark.slow) for row in TABLE],
    ids=[repr(row.cell) for row in TABLE],
)
def test_check_grads_to_order_two(x64, row):
    """Forward and reverse over each other by JAX's own checker."""
    case = Case(row.cell, 3, row.make_xs or vectors(3), 0, row.make_carry)
    f = jax.jit(along_directions(case, "deferred"))
    check_grads(f, (jnp.zeros(3),), order=2, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


class _Leaky(sj.RNN):
    """Its output looks at another row of the batch."""

    def update(self, p, h, z, m):
        h, y = super().update(p, h, z, m)
        return h, y + jnp.broadcast_to(jnp.mean(y, axis=0, keepdims=True), y.shape)


class _Drifting(sj.RNN):
    """Its sequence is not the fold of its step."""

    def sequence(self, params, carry, xs, plan=sj.plan.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys * 1.001


class _Seeing(sj.Pointwise):
    """It looks one step ahead."""

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        return {}

    def apply(self, params, x):
        return x

    def sequence(self, params, carry, xs, plan=sj.plan.Plan()):
        return carry, xs + jnp.roll(xs, -1, axis=0)


class _Poisoned(sj.RNN):
    """It divides by its input, so that a padding of zeros poisons the gradient."""

    def project(self, p, x):
        return super().project(p, 1.0 / x)


class _Widening(sj.Pointwise):
    """Its output is always float32."""

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        return {"s": jnp.ones((), dtype)}

    def apply(self, params, x):
        return x.astype(jnp.float32)


@pytest.mark.parametrize(
    "cell, message",
    [
        (_Leaky(3), "fold of step|NaN in another row"),
        (_Drifting(3), "fold of step"),
        (_Seeing(), "fold of step|sees the future"),
        (_Poisoned(3), "in unreal steps"),
        (_Widening(), "ys are"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_checker_sees_a_broken_cell(cell, message):
    with pytest.raises(LawError, match=message):
        check_cell(cell)


def test_subclasses_are_frozen_dataclasses_without_being_told():
    assert dataclasses.is_dataclass(_Leaky)
    with pytest.raises(dataclasses.FrozenInstanceError):
        _Leaky(3).features = 4
