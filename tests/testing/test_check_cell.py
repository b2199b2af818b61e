"""The checker sees a broken cell, passes a lawful one, and says what to do."""

import jax
import jax.numpy as jnp
import pytest

import seqjax as sj
from seqjax import RNN, Cell, Wrapper
from seqjax.testing import LawError, check_cell
from tests.attending_cells import memory_for
from tests.own_cells import mixed_tree
from tests.table import Row
from tests.testing import broken_cells as broken


@pytest.mark.parametrize(
    "row, message",
    [
        (Row(broken.Leaky(3)), "fold of step|NaN in another row"),
        (Row(broken.Drifting(3)), "fold of step"),
        (Row(broken.Seeing()), "fold of step|sees the future"),
        (Row(broken.MaskBlind(sj.RNN(3))), "carry after no real step"),
        (Row(broken.Widening()), "ys are"),
        (Row(broken.DeafToResets(3)), "between resets"),
        (Row(broken.DeafWindow(3)), "fold of step"),
        (Row(broken.AlwaysFresh(3)), "fold of step"),
        (Row(broken.NeverFresh(3)), "no carry given"),
        (Row(broken.Backward(sj.RNN(3))), "fold of step, in reverse"),
        (Row(broken.ClockFromZero(3), mixed_tree), "fold of step"),
        (Row(broken.RowNumber(3)), "rows moved"),
        (Row(broken.Writing(3), make_carry=memory_for(broken.Writing(3))), "fold of step|what is held"),
        (Row(broken.WrongSize(sj.Dense(2))), "size.3. is 4"),
        (Row(broken.Flat(2)), "batch of"),
        (Row(broken.Shy(3)), "a traced run"),
        (Row(broken.Imaginary(3)), "fold of step"),
        (Row(broken.NarrowCarry(3)), "begins as bfloat16"),
        (Row(broken.NotUniform(3)), "step with two batch axes"),
    ],
    ids=lambda value: type(value.cell).__name__ if isinstance(value, Row) else "",
)
def test_checker_sees_a_broken_cell(row, message):
    with pytest.raises(LawError, match=message):
        check_cell(row.cell, make_xs=row.make_xs, make_carry=row.make_carry)


@pytest.mark.slow  # that options reach the cell is seen below; tests/core/test_grid.py has more of them
@pytest.mark.parametrize("options", [{"gradient": "autodiff"}, {"checkpoint": "sqrt", "unroll": 2}], ids=str)
def test_options_of_scan_are_tried_as_given(options):
    check_cell(sj.GRU(2), **options)


class Unrolled(sj.RNN):
    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys * (1.001 if plan.unroll == 2 else 1)


def test_an_option_that_breaks_a_cell_is_seen():
    check_cell(Unrolled(2))
    with pytest.raises(LawError, match="fold of step"):
        check_cell(Unrolled(2), unroll=2)


class First(sj.Cell):
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


class Second(First):
    """With the remedies that the message names."""

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.features), jnp.promote_types(params["w"].dtype, jnp.float32))

    def step(self, params, carry, x):
        h, y = super().step(params, carry, x)
        return h, y.astype(jnp.result_type(params["w"], x))


def test_a_first_cell_is_told_the_rule_and_the_remedy():
    with pytest.raises(LawError) as caught:
        check_cell(First(3))
    for part in (
        "has the promoted dtype of params and xs",
        "y.astype(jnp.result_type(",
        "jnp.promote_types(params[...].dtype, jnp.float32)",
    ):
        assert part in str(caught.value)
    check_cell(Second(3))


class Permuting(Cell):
    """Whole-number parameters, and a whole-number output."""

    out_features = 1

    def init(self, key, in_features, dtype=jnp.float32):
        return {"order": jax.random.permutation(key, in_features), "w": jnp.ones((in_features, 2), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, 2), jnp.promote_types(params["w"].dtype, jnp.float32))

    def step(self, params, carry, x):
        h = jnp.tanh(carry + (x[..., params["order"]] @ params["w"]).astype(carry.dtype))
        return h, jnp.argmax(h, axis=-1, keepdims=True)


def test_whole_numbers_in_parameters_and_outputs_are_lawful():
    check_cell(Permuting())


class Holes(Wrapper):
    hole: str

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = self.cell.sequence(params, carry, xs, plan)
        marked = plan.mask is not None or plan.resets is not None
        wrong = {
            "lengths": plan.lengths is not None,
            "fresh": plan.fresh and (marked or plan.reverse),
            "axes": ys.ndim > 3,
        }
        return carry, ys * 2 if wrong[self.hole] else ys


@pytest.mark.parametrize(
    "hole, message", [("lengths", "lengths"), ("fresh", "no carry given"), ("axes", "two batch axes")]
)
def test_laws_that_had_holes(hole, message):
    with pytest.raises(LawError, match=message):
        check_cell(Holes(RNN(2), hole))
