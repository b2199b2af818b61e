"""The law over the table, and proof that the checker sees a broken cell."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from jax.test_util import check_grads

import seqjax as sj
from seqjax.core import taps
from seqjax.testing import Case, LawError, check_cell, vectors
from seqjax.testing.case import score_along
from tests.own_cells import (
    LRU,
    AttendingLSTM,
    DelayLine,
    SelfAttention,
    Skip,
    TreeCell,
    WindowAttention,
    memory_for,
    mixed_tree,
)
from tests.table import TABLE, Row

MAY_BE_LEFT_OUT = {
    "sequence_is_the_fold_of_step": "reads both directions",
    "outputs_do_not_see_the_future": "reads both directions",
    "batch_rows_do_not_touch": "whole numbers",
    "reverse_is_the_flip": "reads both directions",
    "vmap_over_params": "no parameters",
    "resets_cut": "does not begin as it did",
    "a_fresh_carry_need_not_be_given": "asks for",
    "what_is_held_stays": "nothing is held",
    "a_uniform_step_takes_time_as_an_axis": "not said to be uniform",
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
    f = jax.jit(score_along(case, "deferred"))
    check_grads(f, (jnp.zeros(3),), order=2, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)


class _Leaky(sj.RNN):
    """Its output looks at another row of the batch."""

    def update(self, p, h, z, m):
        h, y = super().update(p, h, z, m)
        return h, y + jnp.broadcast_to(jnp.mean(y, axis=0, keepdims=True), y.shape)


class _Drifting(sj.RNN):
    """Its sequence is not the fold of its step."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
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

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return carry, xs + jnp.roll(xs, -1, axis=0)


class _MaskBlind(sj.combinators.Bidirectional):
    """It carries on through unreal steps."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry, xs, dataclasses.replace(plan, mask=None))


class _Widening(sj.Pointwise):
    """Its output is always float32."""

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        return {"s": jnp.ones((), dtype)}

    def apply(self, params, x):
        return x.astype(jnp.float32)


class _DeafToResets(SelfAttention):
    """It attends across resets."""

    def all_at_once(self, params, carry, xs, mask, starts):
        return super().all_at_once(params, carry, xs, mask, None)


class _DeafWindow(WindowAttention):
    """As a causal cell."""

    def all_at_once(self, params, fresh, carry, xs, mask, starts):
        return super().all_at_once(params, fresh, carry, xs, mask, None)


class _AlwaysFresh(WindowAttention):
    """It never looks at its cache."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry, xs, dataclasses.replace(plan, fresh=True))


class _NeverFresh(sj.GRU):
    """Told that its carry is fresh, it begins with another."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry + 0.1 * plan.fresh, xs, plan)


class _Backward(sj.Wrapper):
    """Read in reverse, it gives its outputs in the order in which they were made."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys[::-1] if plan.reverse else ys


class _ClockFromZero(TreeCell):
    """All its clocks begin at zero, whatever the carry says."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, {"h": carry["h"], "t": 0 * carry["t"]}, xs, plan)


class _RowNumber(sj.RNN):
    """It knows which row it computes."""

    def update(self, p, h, z, m):
        h, y = super().update(p, h, z, m)
        return h, y + jax.lax.broadcasted_iota(y.dtype, y.shape, y.ndim - 2)


class _Writing(AttendingLSTM):
    """It writes into what it holds, and so do its bases' drivers not."""

    def step(self, params, carry, x):
        (state, memory), y = super().step(params, carry, x)
        return (state, sj.Held(memory.value + 1)), y


class _WrongSize(Skip):
    def size(self, in_features):
        return 1 + in_features


class _Flat(DelayLine):
    """Its carry has no batch axes."""

    def initial_carry(self, params, batch_shape=(), *, in_features):
        return jnp.zeros((self.steps, in_features))


class _Shy(sj.RNN):
    """Somebody looks, and it does something else."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys * 1.001 if taps.is_tracing() else ys


class _Imaginary(LRU):
    """All at once, it forgets the imaginary part of its carry."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry.real.astype(carry.dtype), xs, plan)


class _NotUniform(sj.RNN):
    """It names the axis of features by a number."""

    uniform = True

    def step(self, params, carry, x):
        h = jax.nn.softmax(carry + x @ params["project"]["kernel"], axis=min(1, x.ndim - 1))
        return h, h.astype(jnp.result_type(params["project"]["kernel"], x))


class _NarrowCarry(sj.RNN):
    """Its carry is as narrow as its parameters."""

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.features), params["mix"]["kernel"].dtype)


@pytest.mark.parametrize(
    "row, message",
    [
        (Row(_Leaky(3)), "fold of step|NaN in another row"),
        (Row(_Drifting(3)), "fold of step"),
        (Row(_Seeing()), "fold of step|sees the future"),
        (Row(_MaskBlind(sj.RNN(3))), "carry after no real step"),
        (Row(_Widening()), "ys are"),
        (Row(_DeafToResets(3)), "between resets"),
        (Row(_DeafWindow(3)), "fold of step"),
        (Row(_AlwaysFresh(3)), "fold of step"),
        (Row(_NeverFresh(3)), "no carry given"),
        (Row(_Backward(sj.RNN(3))), "fold of step, in reverse"),
        (Row(_ClockFromZero(3), mixed_tree), "fold of step"),
        (Row(_RowNumber(3)), "rows moved"),
        (Row(_Writing(3), make_carry=memory_for(_Writing(3))), "fold of step|what is held"),
        (Row(_WrongSize(sj.Dense(2))), "size.3. is 4"),
        (Row(_Flat(2)), "batch of"),
        (Row(_Shy(3)), "a traced run"),
        (Row(_Imaginary(3)), "fold of step"),
        (Row(_NarrowCarry(3)), "begins as bfloat16"),
        (Row(_NotUniform(3)), "step with two batch axes"),
    ],
    ids=lambda value: type(value.cell).__name__ if isinstance(value, Row) else "",
)
def test_checker_sees_a_broken_cell(row, message):
    with pytest.raises(LawError, match=message):
        check_cell(row.cell, make_xs=row.make_xs, make_carry=row.make_carry)


class _Singular(sj.RNN):
    """It divides by the length of its input: padding must not be zeros."""

    def project(self, p, x):
        return super().project(p, x / jnp.linalg.norm(x, axis=-1, keepdims=True))


@pytest.mark.parametrize("cell", [_Singular(3), sj.stack(sj.Norm(epsilon=0.0), sj.LSTM(3))], ids=repr)
def test_padding_is_harmless_to_cells_that_are_singular_at_zero(cell):
    check_cell(cell)


@pytest.mark.parametrize("options", [{"gradient": "autodiff"}, {"checkpoint": "sqrt", "unroll": 2}], ids=str)
def test_options_of_scan_are_tried_as_given(options):
    check_cell(sj.GRU(2), **options)


class _Unrolled(sj.RNN):
    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys * (1.001 if plan.unroll == 2 else 1)


def test_an_option_that_breaks_a_cell_is_seen():
    check_cell(_Unrolled(2))
    with pytest.raises(LawError, match="fold of step"):
        check_cell(_Unrolled(2), unroll=2)


class _First(sj.Cell):
    """A first cell, with the dtypes that come by themselves."""

    features: int

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        return {"w": jax.random.normal(key, (in_features, self.features), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.features))

    def step(self, params, carry, x):
        h = jnp.tanh(0.5 * carry + x @ params["w"])
        return h, h


class _Second(_First):
    """With the remedies that the message names."""

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.features), jnp.promote_types(params["w"].dtype, jnp.float32))

    def step(self, params, carry, x):
        h, y = super().step(params, carry, x)
        return h, y.astype(jnp.result_type(params["w"], x))


def test_a_first_cell_is_told_the_rule_and_the_remedy():
    with pytest.raises(LawError) as caught:
        check_cell(_First(3))
    for part in (
        "has the promoted dtype of params and xs",
        "y.astype(jnp.result_type(",
        "jnp.promote_types(params[...].dtype, jnp.float32)",
    ):
        assert part in str(caught.value)
    check_cell(_Second(3))


def test_subclasses_are_frozen_dataclasses_without_being_told():
    assert dataclasses.is_dataclass(_Leaky)
    with pytest.raises(dataclasses.FrozenInstanceError):
        _Leaky(3).features = 4
