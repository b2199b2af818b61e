"""Figures of singular values and of exponents."""

import numpy as np
import pytest

from seqjax import plot
from seqjax.errors import ArgumentError


def test_spectrum_of_few_and_of_many_steps():
    """Every value is a line with its number; 100,000 steps are thinned out, with both ends; zeros end a line."""
    rates = np.array([0.1, -0.2, -1.0])
    for steps, points in ((50, 51), (100_000, 1000)):
        logs = np.arange(steps + 1)[:, None] * rates
        logs[steps // 2 :, 2] = -np.inf
        figure = plot.spectrum_by_lag({"one": logs, "two": np.zeros_like(logs)}, "rates")
        axis = figure.axes[0]
        assert [line.get_label() for line in axis.lines] == ["$s_{1}$", "$s_{2}$", "$s_{3}$"]
        lags, values = axis.lines[0].get_data()
        assert (len(lags), lags[0], lags[-1]) == (points, 0, steps)
        np.testing.assert_allclose(values, lags * 0.1 / np.log(10), rtol=1e-12)
        lags, values = axis.lines[2].get_data()
        assert lags[np.isfinite(values)].max() < steps // 2
        assert {line.get_linestyle() for line in axis.lines} == {"-", "--", ":"}  # apart in grey too
        figure.canvas.draw()
        assert axis.get_yticklabels()[0].get_text().startswith("1e-") and figure.get_suptitle() == "rates"


def test_wide_states_have_seven_lines():
    axis = plot.spectrum_by_lag({"wide": np.tile(-np.arange(100.0), (4, 1))}).axes[0]
    assert [line.get_label() for line in axis.lines][:2] == ["$s_{1}$", "$s_{17}$"] and len(axis.lines) == 7
    shades = [np.dot(line.get_color()[:3], [0.299, 0.587, 0.114]) for line in axis.lines]
    assert np.all(np.diff(shades) > 0.02)


def test_exponents_with_errors():
    figure = plot.exponents({"a": [0.5, -1.0], "b": [0.1, -np.inf]}, {"a": [0.1, 0.2]})
    (axis,) = figure.axes
    line, _, (bars,) = axis.containers[0]
    np.testing.assert_array_equal(line.get_xydata(), [[1, 0.5], [2, -1]])
    np.testing.assert_allclose(bars.get_segments()[1], [[2, -1.4], [2, -0.6]])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]
    assert axis.containers[0][0].get_marker() != axis.containers[1][0].get_marker()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot.spectrum_by_lag({}), "at least one panel"),
        (lambda: plot.spectrum_by_lag({"a": np.zeros((2, 3, 4))}), r"panels\['a'\] has shape .*Write logs\[0\]"),
        (lambda: plot.spectrum_by_lag({"a": np.zeros(4)}), r"expected \[T \+ 1, n\]"),
        (lambda: plot.spectrum_by_lag({"a": np.zeros((4, 0))}), r"expected \[T \+ 1, n\]"),
        (lambda: plot.exponents({}), "at least one curve"),
        (lambda: plot.exponents({"a": np.zeros((2, 3))}), r"Write exponents\[0\]"),
        (lambda: plot.exponents({"a": []}), r"expected \[n\]"),
        (lambda: plot.exponents({"a": 0.5}), r"shape \(\)"),
        (lambda: plot.exponents({"a": [0.5]}, {"a": [0.1, 0.2]}), r"errors\['a'\] has 2 numbers, expected 1"),
        (lambda: plot.exponents({"a": [0.5]}, {"a": [[0.1]]}), r"expected \[n\]"),
    ],
)
def test_wrong_calls(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
