"""Rank correlations, and the experiment on what the reach of the gradient at the start predicts."""

import csv
import math

import numpy as np
import pytest
from scipy import stats

import seqjax as sj
from experiments import gradient_vs_success
from experiments.collect import collect
from experiments.harness.ranks import association, rank_correlation

LINEAR = "RNN(3, activation='identity')"
TINY = {"steps": 2, "members": 2, "batch_size": 3, "evaluation": 4, "adding_length": 6, "order_length": 10}


def test_rank_correlation_against_scipy():
    rng = np.random.default_rng(0)
    xs, ys = rng.normal(size=(5, 12)), rng.integers(0, 4, (5, 12))  # with ties
    expected = [stats.spearmanr(x, y).statistic for x, y in zip(xs, ys)]
    np.testing.assert_allclose(rank_correlation(xs, ys), expected, rtol=1e-12)


def test_rank_correlation_of_known_orders():
    """1 - 6 sum d^2 / (n (n^2 - 1)) without ties; infinities are ranks like others."""
    assert rank_correlation([1, 2, 3, 4], [10, 100, 1000, np.inf]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(1 - 6 * 4 / (4 * 15))
    assert rank_correlation([1, 2, 3], [-1, -2, -3]) == pytest.approx(-1)


def test_association():
    """Of the 120 orders of five things two are as far from zero as the order itself: p = 1/60."""
    found = association([1, 2, 3, 4, 5], [2, 4, 6, 8, 10], draws=20_000)
    assert found[:3] == pytest.approx((1, 1, 1))
    assert found.p == pytest.approx(1 / 60, abs=4 * math.sqrt(1 / 60 / 20_000))
    rng = np.random.default_rng(1)
    xs = rng.normal(size=30)
    unrelated = association(xs, rng.normal(size=30))
    assert unrelated.low < 0 < unrelated.high and unrelated.p > 0.01
    related = association(xs, xs + 0.3 * rng.normal(size=30))
    assert 0.5 < related.low < related.rho < related.high <= 1 and related.p < 0.01
    assert association([1, 2, 3], [5, 5, 5]) == (None,) * 4


def row(task="adding", cell="GRU(3)", reach=0.0, error=1.0, at=None):
    values = dict.fromkeys(gradient_vs_success.PREDICTORS, reach)
    is_gated = not cell.startswith("RNN")
    return values | {"task": task, "cell": cell, "is_gated": is_gated, "relative_error": error, "solved_at_update": at}


def test_a_network_counts_once():
    """Means over seeds; what was never solved comes last, and groups of fewer than three are left out."""
    rows = [
        row(cell="RNN(3)", reach=-9.0), row(cell="RNN(3)", reach=None),  # None: nothing comes through
        row(cell="GRU(3)", reach=-5.0, error=0.5, at=100), row(cell="GRU(3)", reach=-3.0, error=0.9),
        row(cell="LSTM(3)", reach=-1.0, error=0.1, at=20),
    ]  # fmt: skip
    found = gradient_vs_success.correlations(rows, steps=100)
    assert {(line["group"], line["cells"]) for line in found} == {("all", 3)}
    assert [line["predictor"] for line in found] == list(gradient_vs_success.PREDICTORS)
    assert all(line["rho_error"] == line["rho_updates"] == pytest.approx(1) for line in found)


@pytest.mark.slow
def test_a_linear_orthogonal_network_keeps_all(here):
    config = gradient_vs_success.Config(**TINY, cell=("GRU(3)", LINEAR, "RNN(3)"))
    summary = gradient_vs_success.main(config)
    linear = [row for row in summary["rows"] if row["cell"] == LINEAR]
    assert len(linear) == 4 and all(abs(row["log10_ratio"]) < 1e-3 for row in linear)
    assert all(row["log10_ratio"] < -0.3 for row in summary["rows"] if row["cell"] == "GRU(3)")
    assert linear[0]["epsilon_horizon_steps"] == 5  # of 6 carries before the last output
    rows = list(csv.DictReader(collect("gradient_vs_success", results=here).read_text().splitlines()))
    assert len(rows) == 12 and {row["task"] for row in rows} == {"adding", "temporal_order"}
    lines = list(csv.DictReader((here / "gradient_vs_success_correlations.csv").read_text().splitlines()))
    assert len(lines) == 2 * len(gradient_vs_success.PREDICTORS) and lines[0]["group"] == "all"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tasks": ("copy_memory",)}, "tasks must be of adding, temporal_order, found 'copy_memory'"),
        ({"order_length": 9}, "length must be a whole number of at least 10"),
        ({"adding_length": 0}, "adding_length must be"),
        ({"members": 0}, "members must be"),
        ({"cell": ("bidirectional(GRU(3))",)}, "it sees what it is to predict"),
    ],
)
def test_wrong_options(here, options, message):
    with pytest.raises(sj.ArgumentError, match=message):
        gradient_vs_success.main(gradient_vs_success.Config(**(TINY | options)))
    assert not (here / "runs").exists()
