"""Points of two measures."""

import numpy as np
import pytest

from seqjax import plot
from seqjax.errors import ArgumentError


def test_points_of_one_name_look_alike_in_all_panels():
    names = [f"cell {i}" for i in range(15)]
    panels = {"a": {name: [(i, 0.5), (-i, np.nan)] for i, name in enumerate(names)}, "b": {names[3]: np.ones((2, 2))}}
    figure = plot.scatter(panels, "reach", "error", "title", is_stretched=True)
    first, second = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"] and first.get_xscale() == "symlog"
    assert (first.get_xlabel(), first.get_ylabel(), figure.get_suptitle()) == ("reach", "error", "title")
    looks = [(*points.get_facecolor()[0], points.get_paths()[0].vertices.tobytes()) for points in first.collections]
    assert len(set(looks)) == 15
    (alone,) = second.collections
    assert (*alone.get_facecolor()[0], alone.get_paths()[0].vertices.tobytes()) == looks[3]
    np.testing.assert_array_equal(
        first.collections[3].get_offsets(), [[3, 0.5]]
    )  # that which is not finite is left out
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names


@pytest.mark.parametrize(
    "panels, words",
    [
        ({}, "at least one panel"),
        ({"a": {"b": [1.0, 2.0]}}, r"'b' have shape \(2,\), expected \[N, 2\]"),
        ({"a": {"b": [(1.0, 2.0, 3.0)]}}, r"shape \(1, 3\)"),
        ({"a": {"b": 1.0}}, r"shape \(\)"),
        ({"a": {"b": []}}, r"shape \(0,\)"),
        ({"a": {"b": [[[1.0, 2.0]]]}}, r"Write \[\(x, y\)\]"),
    ],
)
def test_wrong_points(panels, words):
    with pytest.raises(ArgumentError, match=f"scatter: .*{words}"):
        plot.scatter(panels, "x", "y")
