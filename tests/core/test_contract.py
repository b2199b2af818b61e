"""The law over the table of cells."""

import jax
import jax.numpy as jnp
import pytest
from jax.test_util import check_grads

from seqjax.testing import Case, check_cell, vectors
from seqjax.testing.case import score_along
from tests.table import MAY_BE_LEFT_OUT, TABLE


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
