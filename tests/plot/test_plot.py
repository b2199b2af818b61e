"""Figures of tasks and data sets: each can be drawn, and shows what it was given."""

import io

import matplotlib
import numpy as np
import pytest

from seqjax import datasets, plot, tasks
from seqjax.batching.ragged import Ragged
from seqjax.datasets import catalogue
from seqjax.datasets.catalogue import Dataset
from seqjax.datasets.content import Split
from seqjax.errors import ArgumentError
from seqjax.plot.datasets import _KINDS

matplotlib.use("agg")
RNG = np.random.default_rng(0)
LABELS = np.array([1, 0, 1])
TEXTS = Ragged.of(["one $dollar$", "zwei é", "three\nlines"])
IDS = Ragged.of([np.array([0, 1]), np.array([1]), np.array([1, 1, 0])])
MADE = {
    "images": Split(RNG.integers(0, 256, (3, 8, 8)), LABELS),
    "video": Split(RNG.integers(0, 256, (3, 4, 8, 8))),
    "text": Split(TEXTS, LABELS),
    "pairs": Split(TEXTS, Ragged.of(["un", "deux", "trois"])),
    "tokens": Split(IDS, IDS),
    "glyphs": Split(Ragged.of([RNG.integers(0, 2, (n, 128)) for n in (2, 1, 3)]), IDS, LABELS),
    "rolls": Split(Ragged.of([RNG.integers(0, 2, (n, 88)) for n in (9, 4, 300)])),
    "curves": Split(RNG.normal(size=(3, 9, 2)), LABELS),
    "series": Split(Ragged.of([np.where(RNG.random((1500, 2)) < 0.1, np.nan, RNG.normal(size=(1500, 2)))])),
    "waves": Split(Ragged.of([RNG.integers(-99, 99, 900).astype(np.int16)] * 3), LABELS, LABELS),
    "tracks": Split(Ragged.of([RNG.normal(size=(60, 3)) * 20] * 3)),
}


def made(kind):
    entry = next(entry for entry in catalogue.CATALOGUE.values() if entry.kind == kind)
    return Dataset(
        {"train": MADE[kind]}, ("left", "right"), () if kind == "pairs" else ("no", "yes"), ("g", "h"), entry
    )


def words(figure):
    figure.canvas.draw()
    return " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.mark.parametrize("kind", MADE)
def test_every_kind_of_data_set(kind):
    figure = plot.dataset(made(kind))
    assert len(figure.axes) == len(MADE[kind])
    said = words(figure)
    assert f"(train: {len(MADE[kind])} examples" in said
    if kind in ("images", "text", "curves", "waves"):
        assert "yes" in said and "no" in said
    if kind == "pairs":
        assert "zwei" in said and "deux" in said


def test_every_kind_is_drawn_and_made():
    assert {entry.kind for entry in catalogue.CATALOGUE.values()} == set(_KINDS) == set(MADE)


def test_the_examples_are_those_asked_for():
    data = made("text")
    assert words(plot.dataset(data, count=1, seed=3)) == words(plot.dataset(data, count=1, seed=3))
    assert len(plot.dataset(data, count=2).axes) == 2
    with pytest.raises(ArgumentError, match="count must be a whole number of at least 1"):
        plot.dataset(data, count=0)
    with pytest.raises(ArgumentError, match="no split 'valid'"):
        plot.dataset(data, "valid")


@pytest.mark.parametrize("name", tasks.ALL)
def test_every_task(name):
    task = tasks.find(name)
    figure = plot.task(task, batch_size=2)
    assert len(figure.axes) == 2
    assert name in words(figure) and "baseline" in words(figure)


def test_a_task_shows_its_tokens_and_targets():
    import jax

    batch = tasks.reverse.sample(jax.random.key(5), 1, 8)
    figure = plot.task(tasks.reverse, length=8, batch_size=1, seed=5)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert shown == [str(t) for t in batch.inputs[0]] + [str(t) for t in batch.targets[0][batch.weights[0]]]


def test_the_data_sets_of_this_machine(tmp_path):
    figure = plot.dataset(datasets.load("digits"), "test", count=4)
    figure.savefig(tmp_path / "digits.png")
    assert (tmp_path / "digits.png").stat().st_size > 1000


def test_comparison():
    """Results that span more than thirty-fold are on a logarithmic axis, unless an interval reaches below zero."""
    curves = {"a": [([1, 2], [0.5, 0.4]), ([1, 2], [0.5, 0.3])]}
    over_time, results = plot.comparison(curves, {"a": (0.001, 0.0005), "b": (0.2, np.nan)}, "loss", [0.1]).axes
    assert (over_time.get_ylabel(), results.get_xlabel(), results.get_xscale()) == ("loss", "loss, result", "log")
    assert [label.get_text() for label in results.get_yticklabels()] == ["a", "b"]
    assert len(over_time.lines) == 3  # two seeds and the baseline
    assert plot.comparison({"a": [([1], [0.5])]}, {"a": (0.5, np.nan)}, "loss").axes[0].get_yscale() == "linear"
    (results,) = plot.comparison({}, {"a": (0.001, 0.002), "b": (0.2, 0.1)}, "loss").axes
    assert results.get_xscale() == "linear"


def test_long_names_of_two_panels_share_no_colour_in_one_legend():
    """One legend below all panels gave the first line of each the same colour, and so two names to it."""
    first, second, third = ("x" * 30 + end for end in "abc")
    curve = {"mean": [0.0, -1.0]}
    figure = plot.norm_by_distance({"RNN": {first: curve}, "gates": {second: curve, third: curve}})
    legends = [axis.get_legend() for axis in figure.axes]
    assert [[text.get_text() for text in legend.get_texts()] for legend in legends] == [[first], [second, third]]
    shared = plot.norm_by_distance({"before": {first: curve}, "after": {first: curve}})
    assert [text.get_text() for text in shared.legends[0].get_texts()] == [first]


def test_trend():
    """Points with intervals where there are any; powers of ten where results span more than eight-fold."""
    lines = {"a": [(50, 1.0, np.nan), (100, 9.0, 0.5)], "b": [(50, 2.0, 0.1)]}
    figure = plot.trend(lines, "length", "ms", "costs")
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_xscale(), axis.get_yscale()) == (
        "length",
        "ms",
        "linear",
        "log",
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    points, _, (bars,) = axis.containers[0]
    np.testing.assert_array_equal(points.get_xydata(), [[50, 1], [100, 9]])
    np.testing.assert_array_equal(bars.get_segments()[1], [[100, 8.5], [100, 9.5]])
    (shares,) = plot.trend({"a": [(50, 0.0, np.nan), (800, 1.0, np.nan)]}, "length", "solved").axes
    assert (shares.get_xscale(), shares.get_yscale()) == ("log", "linear")


def test_layer_norms():
    """One scale for all maps; what is zero is hatched and no colour; curves run back from the loss."""
    before = {"0/h": [-4.0, -3.0, -2.0], "0/y": [None, None, -1.0]}
    after = {"0/h": [-9.0, -3.0, 1.0], "0/y": [None, None, None]}
    figure = plot.layer_norms({"before": before, "after": after}, ["0/h"], "layers")
    said = words(figure)
    left, right, *curves, scale = (axis for axis in figure.axes)
    maps = [axis.images[0] for axis in (left, right)]
    assert [image.get_clim() for image in maps] == [(-9, 1)] * 2
    np.testing.assert_array_equal(np.isnan(maps[0].get_array().filled(np.nan)), [[False] * 3, [True, True, False]])
    assert [label.get_text() for label in left.get_yticklabels()] == ["0/h", "0/y"]
    assert scale.get_ylabel() == curves[0].get_ylabel() == plot.layers.MEASURE
    assert all(part in said for part in ("before", "after", "layers", "loss is of step 3; hatched: zero"))
    assert [line.get_label() for axis in curves for line in axis.lines] == ["0/h", "0/h"]
    np.testing.assert_array_equal(curves[1].lines[0].get_xydata(), [[0, 1], [1, -3], [2, -9]])


def test_norms_of_a_loss_amid_the_sequence():
    """Steps before that of the loss are on the left of it; curves of layers run back from it, past 0 to what is ahead."""
    logs = [-2.0, -1.0, 0.0, None]
    figure = plot.norm_by_step({"before": {"GRU": logs}}, 2, "inputs")
    (line,) = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_xydata(), [[-2, -2], [-1, -1], [0, 0], [1, np.nan]])
    assert all(part in words(figure) for part in ("inputs", "before", "GRU"))
    above, below, scale = plot.layer_norms({"before": {"h": logs}}, step=2).axes
    assert "∂L / ∂v_t" in scale.get_ylabel()
    assert "the loss is of step 3; hatched: zero" in above.get_xlabel() and "ahead of it" in below.get_xlabel()
    np.testing.assert_array_equal(below.lines[0].get_xydata(), [[-1, np.nan], [0, 0], [1, -1], [2, -2]])


def test_layer_norms_of_zeros_alone():
    (image,) = plot.layer_norms({"one": {"h": [None, None]}}).axes[0].images
    assert image.get_clim() == (-1, 0)
    lone = plot.layer_norms({"one": {"h": [None, -2.0]}})
    assert lone.axes[1].lines[0].get_marker() == "o"
    assert "hatched" not in words(plot.layer_norms({"one": {"h": [-3.0, -2.0]}}))


def labels(axis):
    figure = axis.figure
    figure.canvas.draw()
    low, high = axis.get_view_interval()
    ticks = axis.get_major_locator()()
    return [axis.get_major_formatter()(tick) for tick in ticks if low <= tick <= high]


def test_logarithms_have_ticks_at_decades():
    """Once at 0.708 and 316; where there is no decade, at round numbers between."""
    far = plot.norm_by_distance({"a": {"x": {"mean": [0.0, -7.5, -15.0, -22.3]}}}).axes[0]
    assert labels(far.yaxis) == ["1e-20", "1e-16", "1e-12", "1e-8", "1e-4", "1"]
    near = plot.norm_by_length({"a": {"x": [-0.9, -0.2, 0.0]}}, [10, 20, 2000]).axes[0]
    assert labels(near.yaxis) == ["0.2", "0.5", "1", "2"]  # room for the names above
    assert labels(near.xaxis) == ["10", "100", "1000"]
    narrow = plot.norm_by_length({"a": {"x": [-0.25, 0.05]}}, [10, 20]).axes[0]
    assert labels(narrow.yaxis) == ["0.6", "0.8", "1", "1.2", "1.4"]
    wide = plot.comparison({"a": [([1, 2], [0.1, 0.001])]}, {"a": (0.001, 0.0005), "b": (0.2, 0.01)}, "mse")
    assert labels(wide.axes[0].yaxis) == ["0.001", "0.01", "0.1"]
    assert labels(wide.axes[1].xaxis) == ["0.001", "0.01", "0.1"]


@pytest.mark.parametrize(
    "bounds, reach", [((0, np.inf), [0.0, 0.7]), ((0, 0.5), [0.0, 0.5]), ((-np.inf, np.inf), [-0.5, 0.7])]
)
def test_intervals_end_where_a_measure_cannot_go(bounds, reach):
    """Two seeds with errors of 0.05 and 0.15 have an interval of 0.1 ± 0.6, and no error is negative."""
    figure = plot.comparison({}, {"a": (0.1, 0.6)}, "mse", bounds=bounds)
    (_, _, (bar,)) = figure.axes[0].containers[0]
    np.testing.assert_allclose(bar.get_segments()[0][:, 0], reach, atol=1e-12)
    figure = plot.trend({"a": [(1, 0.1, 0.6)]}, "x", "mse", bounds=bounds)
    (_, _, (bar,)) = figure.axes[0].containers[0]
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], reach, atol=1e-12)


def test_the_baseline_has_a_label():
    curves = {"a": [([1, 2], [0.5, 0.4])]}
    for given, ends in (
        (curves, {"a": (0.4, 0.1)}),
        ({}, {"a": (0.4, 0.1)}),
        ({str(i): curves["a"] for i in range(13)}, {}),
    ):
        axis = plot.comparison(given, ends, "loss", [0.3]).axes[0]
        assert "baseline" in [text.get_text() for text in axis.get_legend().get_texts()]
    assert plot.comparison({}, {"a": (0.4, 0.1)}, "loss").axes[0].get_legend() is None


@pytest.mark.parametrize(("count", "covers"), [(4, True), (8, False)])
def test_a_legend_of_many_names_covers_no_lines(count, covers):
    curves = {f"a long name, number {i}": [([1, 2], [0.5, 0.4])] for i in range(count)}
    figure = plot.comparison(curves, dict.fromkeys(curves, (0.4, 0.1)), "loss")
    figure.savefig(io.BytesIO())  # which lays it out
    axis = figure.axes[0]
    assert axis.get_legend().get_window_extent().overlaps(axis.get_window_extent()) == covers
    assert axis.get_legend().get_window_extent().y0 >= 0


def test_arguments_of_another_form_are_named():
    with pytest.raises(TypeError, match=r"given must be a task .*found 'adding'. Write tasks.find"):
        plot.task("adding")
    with pytest.raises(TypeError, match=r"norms must be a dict .*result.history"):
        plot.training([{"step": 1, "loss": 0.5}], {})
