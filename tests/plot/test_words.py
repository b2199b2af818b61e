"""Figures of gates, saliency and loss positions: they show what they were given, in words, at any length."""

import matplotlib
import numpy as np
import pytest

from seqjax import plot
from seqjax.diagnostics import Saturation, summarize
from seqjax.errors import ArgumentError, ArgumentTypeError

matplotlib.use("agg")
WORDS = ["the", "cat", "sat"]


def test_gates_stand_over_their_words():
    forget, state = np.full((3, 4), 0.25), np.array([[-2.0, 1.0], [0.0, 0.5], [1.0, 1.0]])
    figure = plot.gates({"f": forget, "c": state}, WORDS, "a cell")
    first, second = figure.axes[:2]
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("f", "c")
    assert first.images[0].get_clim() == (0, 1) and second.images[0].get_clim() == (-2, 2)
    np.testing.assert_array_equal(second.images[0].get_array(), state.T)
    assert [label.get_text() for label in second.get_xticklabels()] == WORDS


def test_gates_of_many_steps_are_means():
    values = np.repeat([[0.0], [1.0]], 5000, axis=0)
    values[1::2] += 0.5
    image = plot.gates({"f": values}).axes[0].images[0]
    assert image.get_array().shape == (1, 2000) and image.get_extent() == [-0.5, 9999.5, 0.5, -0.5]
    np.testing.assert_allclose(image.get_array()[0, [0, 999, 1000, 1999]], [0.2, 0.3, 1.2, 1.3], atol=1e-9)


def test_bars_for_and_against():
    (axis,) = plot.saliency(WORDS, [2.0, np.nan, -1.0], of="nats").axes
    assert [(bar.get_x() + 0.4, bar.get_height(), bar.get_hatch()) for bar in axis.patches] == [
        (0.0, 2.0, ""),
        (2.0, -1.0, "////"),
    ]
    assert axis.get_ylabel() == "nats"


def test_coloured_text_is_escaped_and_shaded():
    text = plot.coloured_text(["<script>", "so", "a&b", "x"], [1.0, 0.01, -0.5, np.nan])._repr_html_()
    assert "<script>" not in text and "&lt;script&gt;" in text and "a&amp;b" in text
    assert "rgba(0,114,178,0.75)" in text and "rgba(213,94,0,0.38);padding:0 2px;border-bottom:2px dashed" in text
    assert "<span>so</span>" in text and "<span>x</span>" in text
    assert plot.coloured_text([], []).to_html() == "<p></p>"


def test_position_matrix():
    logs = np.array([[0.0, -np.inf, -np.inf], [-np.log(1000), -np.log(10), 0.0]])
    axis, bar = plot.position_matrix(logs, [0, -1], WORDS).axes
    np.testing.assert_allclose(
        axis.images[0].get_array().filled(np.nan), [[0, np.nan, np.nan], [-3, -1, 0]], atol=1e-12
    )
    assert [label.get_text() for label in axis.get_yticklabels()] == ["the", "sat"]
    assert axis.get_xlabel() == "state of step t; hatched: zero"
    assert bar.get_ylabel() == "log₁₀ ‖∂L_s / ∂h_t‖ (L in nats)"
    assert plot.position_matrix(np.full((2, 3), -np.inf), [0, 1]).axes[0].images[0].get_clim() == (-1, 0)


def test_a_summary_is_drawn_as_mean_median_and_band():
    logs = np.log([[1.0, 0.1], [1.0, 0.3], [1.0, 0.5]])
    (axis,) = plot.norm_by_distance({"a": {"x": summarize(logs, (0.0, 1.0))}}).axes
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0, np.log10(0.3)], atol=1e-9)
    np.testing.assert_allclose(axis.lines[1].get_ydata(), [0, np.log10(0.3)], atol=1e-9)
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([band.min(), band.max()], [-1, 0], atol=1e-9)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["x"]


def test_metrics_of_a_training():
    """Rows without them are passed over, and what is not finite is a gap."""
    first = {"evaluation/gradient/log10_at_1": -1.0, "evaluation/gradient/log10_at_10": None, "evaluation/loss": 2.0}
    first |= {"evaluation/gradient/half_life": 3.0, "evaluation/saturation/0/f/low": 0.2}
    second = first | {"evaluation/gradient/log10_at_10": -np.inf, "evaluation/gradient/half_life": -2.0}
    rows = [{"step": 5, "loss": 1.0}, {"step": 10} | first, {"step": 20} | second]
    norms, times, shares = plot.watched(rows, shares=["0/f/low"]).axes
    assert [line.get_label() for line in norms.lines] == ["1 back", "10 back"]
    np.testing.assert_array_equal(times.lines[0].get_xydata(), [[10, 3], [20, np.nan]])
    assert np.isnan(norms.lines[1].get_ydata()).all()
    assert (shares.lines[0].get_label(), shares.get_ylabel(), shares.get_xlabel()) == (
        "0/f below 0.1",
        "share",
        "training step",
    )
    with pytest.raises(ArgumentError, match="no row has metrics of diagnostics.watch"):
        plot.watched(rows[:1])
    with pytest.raises(ArgumentError, match="shares has '0/i/low', which is not among 0/f/low"):
        plot.watched(rows, shares=["0/i/low"])


def test_saturation_has_a_point_for_each_unit():
    shares = Saturation(np.array([[0.1, 0.0]]), np.array([[0.2, 0.9]]), *[np.zeros((1, 2))] * 3)
    first, second = plot.saturation({"f": shares, "o": shares, "y": shares}, ["f", "o"]).axes
    np.testing.assert_array_equal(first.collections[0].get_offsets(), [[0.1, 0.2], [0.0, 0.9]])
    assert (second.get_title(), first.get_ylabel()) == ("o", "share of steps open (> 0.9)")
    for paths in (["i"], []):
        with pytest.raises(ArgumentError, match="paths must be some of f, found"):
            plot.saturation({"f": shares}, paths)


def test_what_cannot_be_right_is_named():
    values = np.zeros((3, 2))
    with pytest.raises(ArgumentTypeError, match=r"values must be a dict of name -> \[T, F\], found ndarray"):
        plot.gates(values)
    with pytest.raises(ArgumentTypeError, match="values must be a dict"):
        plot.gates({})
    with pytest.raises(ArgumentError, match=r"values\['f'\] has shape \(1, 3, 2\).* Of a batch\?"):
        plot.gates({"f": values[None]})
    with pytest.raises(ArgumentError, match=r"values\['f'\] has 3 steps, for 1 words"):
        plot.gates({"f": values}, ["the"])
    with pytest.raises(ArgumentError, match=r"scores have shape \(2,\) for 3 words"):
        plot.saliency(WORDS, [1.0, 2.0])
    with pytest.raises(ArgumentError, match=r"scores have shape \(3,\) for one string"):
        plot.coloured_text("cat", [1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match=r"logs have shape \(1, 3, 2\).* Of a batch\?"):
        plot.position_matrix(values[None])
    with pytest.raises(ArgumentError, match="logs are of 3 losses and 2 steps"):
        plot.position_matrix(values)
    with pytest.raises(ArgumentError, match=r"positions must be 3 steps in 0 ... 1, found \[0, 1, 2\]"):
        plot.position_matrix(values, [0, 1, 2])
    with pytest.raises(ArgumentError, match="words has 3 names, expected one for each of 2 steps"):
        plot.position_matrix(values, [0, 1, 1], WORDS)
