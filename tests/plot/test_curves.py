"""Learning curves."""

import numpy as np
import pytest

from seqjax import ArgumentError, plot


def history(values, every=10, measure="loss"):
    return [{"step": every * (i + 1), measure: value} for i, value in enumerate(values)]


def test_a_line_is_the_mean_and_the_band_all_runs():
    figure = plot.learning_curves({"GRU": [history([4, 2]), history([2, 1])], "RNN": [history([5, 5])]}, title="loss")
    axis = figure.axes[0]
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), [3, 1.5])
    corners = axis.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == 1 and corners[:, 1].max() == 4
    assert len(axis.collections) == 1  # no band around one run
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["GRU", "RNN"]


def test_only_steps_of_all_runs_count():
    runs = [history([4, 2, 1]), [{"step": 10, "accuracy": 0.1}, *history([4, 2])[1:]]]
    assert plot.learning_curves({"GRU": runs}).axes[0].lines[0].get_xdata().tolist() == [20]


@pytest.mark.parametrize("values, scale", [([1, 0.001], "log"), ([1, 0.5], "linear"), ([1, 0.0], "linear")])
def test_powers_of_ten_have_a_logarithmic_scale(values, scale):
    assert plot.learning_curves({"GRU": [history(values)]}).axes[0].get_yscale() == scale


@pytest.mark.parametrize(
    "runs", [[], [history([1])], [history([1], measure="accuracy"), []], [history([1], 10), history([1], 7)]]
)
def test_nothing_in_common_is_said(runs):
    with pytest.raises(ArgumentError, match=r"runs of 'GRU' have no step with 'accuracy' in common.*result\.history"):
        plot.learning_curves({"GRU": runs}, "accuracy")


def test_many_points_of_a_trend_have_few_ticks():
    """One tick a point made a black bar of them."""
    line = [(20 * i, 1 / i, float("nan")) for i in range(1, 100)]
    assert len(plot.trend({"GRU": line}, "updates", "loss").axes[0].get_xticks()) < 20
    assert plot.trend({"GRU": line[:3]}, "updates", "loss").axes[0].get_xticks().tolist() == [20, 40, 60]


def test_shares_stand_on_a_linear_scale():
    """A share of 0.01 beside one of 1 turned the scale logarithmic."""
    lines = {"GRU": [(2, 1.0, float("nan")), (12, 0.01, float("nan"))]}
    assert plot.trend(lines, "length", "right", bounds=(0, 1)).axes[0].get_yscale() == "linear"
    assert plot.trend(lines, "length", "error").axes[0].get_yscale() == "log"
