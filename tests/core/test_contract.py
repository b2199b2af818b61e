"""The law over the table of cells."""

import jax
import jax.numpy as jnp
import pytest
from jax.test_util import check_grads

from seqjax.testing import Case, check_cell, vectors
from seqjax.testing.case import score_along
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
    "a_uniform_step_takes_time_as_an_axis": "not said to be uniform",
}


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=pytest.mark.slow if row.covered else []) for row in TABLE],
    ids=[repr(row.cell) for row in TABLE],
)
def test_law(row):
    report = check_cell(row.cell, row.features, make_xs=row.make_xs, make_carry=row.make_carry)
    for law, result in report.items():
        assert result == "holds" or MAY_BE_LEFT_OUT[law] in result, (law, result)


FEW = ("LSTM(4)",)
"""The law compares the same derivatives of all rows with differences; here JAX's checker agrees."""


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if repr(row.cell) in FEW else pytest.mark.slow) for row in TABLE],
    ids=[repr(row.cell) for row in TABLE],
)
def test_check_grads_to_order_two(x64, row):
    """Forward and reverse over each other by JAX's own checker."""
    case = Case(row.cell, row.features, row.make_xs or vectors(row.features), 0, row.make_carry)
    f = jax.jit(score_along(case, "deferred"))
    check_grads(f, (jnp.zeros(3),), order=2, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5)
