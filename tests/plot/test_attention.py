"""Maps of attention and of numbers: what is drawn, and which labels stand where they have room."""

import itertools

import matplotlib
import numpy as np
import pytest

from seqjax import plot
from seqjax.errors import ArgumentError, ArgumentTypeError

matplotlib.use("agg")


def weights(queries, heads, keys, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(keys), (queries, heads))


def shown(axis):
    axis.figure.canvas.draw()
    return [label.get_text() for label in axis.get_majorticklabels()]


def test_a_map_for_each_head_on_one_scale():
    given = weights(3, 5, 4)
    given[1] = 0
    figure = plot.attention(given, ["a", "b", "c"], list("wxyz"), heads=[f"no. {n}" for n in range(5)], title="one")
    *maps, bar = figure.axes
    assert [axis.get_title() for axis in maps] == [f"no. {n}" for n in range(5)]
    for n, axis in enumerate(maps):
        (image,) = axis.images
        expected = np.where(given[:, n].sum(-1, keepdims=True) > 0, given[:, n], np.nan)
        np.testing.assert_array_equal(image.get_array().filled(np.nan), expected)
        assert image.get_clim() == (0, given.max())
        assert shown(axis.xaxis) == list("wxyz")
        assert shown(axis.yaxis) == (["a", "b", "c"] if n in (0, 4) else ["", "", ""])
    assert [text.get_text() for text in figure.texts] == ["one", "key", "query"]


def test_words_stand_where_they_have_room():
    words = ["a$b", " ", "\n", "Donaudampfschiff", *map(str, range(96))]
    (axis, _) = plot.attention(weights(100, 1, 4)[:, 0], words, words[:4]).axes
    assert shown(axis.xaxis) == [r"a\$b", "␣", "↵", "Donaudampfsch…"]
    assert len(shown(axis.yaxis)) < 10 and "Donau" not in " ".join(shown(axis.yaxis))
    (axis, _) = plot.attention(weights(6, 1, 6), words[:6]).axes
    assert shown(axis.xaxis) == shown(axis.yaxis)
    (axis, _) = plot.attention(weights(6, 1, 7), words[:6]).axes
    assert shown(axis.xaxis) != shown(axis.yaxis)


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (40, 8, 40)], ids=str)
def test_words_do_not_lie_on_each_other(shape):
    figure = plot.attention(np.ones(shape) / shape[-1], keys=["word"] * shape[-1], queries=["word"] * shape[0])
    figure.canvas.draw()
    for axis in figure.axes[:-1]:
        for one, way in ((axis.xaxis, "x"), (axis.yaxis, "y")):
            boxes = [label.get_window_extent() for label in one.get_majorticklabels() if label.get_text()]
            ends = sorted((getattr(box, f"{way}0"), getattr(box, f"{way}1")) for box in boxes)
            assert all(first[1] <= second[0] + 1 for first, second in itertools.pairwise(ends))


@pytest.mark.parametrize(
    "given, options, message",
    [
        (weights(2, 2, 2)[None], {}, r"weights have shape \(1, 2, 2, 2\), expected .*Of a batch\? Write weights\[0\]"),
        (weights(2, 2, 3), {"queries": ["a"]}, "queries has 1 names, expected 2"),
        (weights(2, 2, 3), {"keys": ["a", "b"]}, "keys has 2 names, expected 3"),
        (weights(2, 2, 3), {"heads": ["a"]}, "heads has 1 names, expected 2"),
    ],
)
def test_wrong_calls(given, options, message):
    with pytest.raises(ArgumentError, match=message):
        plot.attention(given, **options)


def test_weights_of_all_layers_were_no_number():
    with pytest.raises(ArgumentTypeError, match=r"several layers, '0/weights', '1/weights'. Take one"):
        plot.attention({f"{layer}/weights": weights(2, 1, 2)[None] for layer in range(2)})


def test_heat_map():
    columns = {"one": [(10.0, 20.0), ()], "two": [(90.0,), (55.125,)]}
    axis, scale = plot.heat_map(["a", "b"], columns, "title", break_after=1).axes
    np.testing.assert_array_equal(axis.images[0].get_array().filled(np.nan), [[10, 90], [np.nan, 55.125]])
    assert [(text.get_text(), text.get_color()) for text in axis.texts] == [
        ("10\n(20)", "white"), ("90", "black"), ("", "black"), ("55.1", "black"),
    ]  # fmt: skip
    assert shown(axis.yaxis) == ["a", "b"]
    for columns in ({}, {"one": [(1.0,)]}):
        with pytest.raises(ArgumentError, match="heat_map: give at least|has 1 cells, expected one for each of 2 rows"):
            plot.heat_map(["a", "b"], columns)
