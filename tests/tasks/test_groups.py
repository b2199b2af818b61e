"""The tables of the word problems are those of groups."""

import numpy as np
import pytest

from seqjax.tasks import groups


@pytest.mark.parametrize(
    "group, order, commutes", [("A5", 60, False), ("S4", 24, False), ("Z7", 7, True), ("A4xZ5", 60, False)]
)
def test_tables_are_groups(group, order, commutes):
    table = groups.table(group)
    assert table.shape == (order, order)
    np.testing.assert_array_equal(table[0], np.arange(order))
    np.testing.assert_array_equal(table[:, 0], np.arange(order))
    assert (np.sort(table, axis=1) == np.arange(order)).all()
    np.testing.assert_array_equal(table[table], table[:, table])  # (p q) r = p (q r)
    assert (table == table.T).all() == commutes
