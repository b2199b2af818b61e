"""The experiment on what keeps gradients over a thousand steps."""

import csv

import numpy as np
import pytest

import seqjax as sj
from experiments import vanishing
from experiments.collect import collect
from tests.experiments.makers import WORDS

LINEAR = "RNN(3, activation='identity')"
TINY = {"cell": ("GRU(3)", LINEAR), "length": 12, "batch_size": 2}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.txt"
    path.write_text(WORDS * 30)
    return str(path)


def test_a_linear_orthogonal_network_keeps_all(here, page):
    """Of a square orthogonal matrix every singular value is 1."""
    found = vanishing.main(vanishing.Config(**TINY, data=page))
    gated, linear = found["rows"]
    assert linear["steps_within_decade"] == 12 and abs(linear["log10_ratio_10"]) < 1e-3
    assert gated["log10_ratio_10"] < -0.3 and "log10_ratio_100" not in gated
    assert len(linear["log10_norms"]) == 13 and linear["half_life_steps"] is None and gated["half_life_steps"] < 5
    assert next(here.glob("runs/vanishing/*/plots/norms.png")).stat().st_size > 5000
    rows = list(csv.DictReader(collect("vanishing", results=here).read_text().splitlines()))
    assert [row["cell"] for row in rows] == ["GRU(3)", LINEAR]


@pytest.mark.parametrize(
    "ratios, steps", [([1, 1, 1], 3), ([1, 0.5, 0.09, 1], 2), ([1, 11, 1], 1), ([2, 0.21, 0.19], 2), ([1], 1)]
)
def test_steps_within_a_decade(ratios, steps):
    assert vanishing.steps_within_decade(np.log([7, *ratios])) == steps


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cell": ("bidirectional(GRU(3))",)}, "must take vectors step by step"),
        ({"cell": ("Dropout(0.5)",)}, "ask for nothing besides"),
        ({"length": 0}, "length must be"),
        ({"length": 10**7}, "length must be at most"),
    ],
)
def test_wrong_options(here, page, options, message):
    with pytest.raises(sj.ArgumentError, match=message):
        vanishing.main(vanishing.Config(**(TINY | options), data=page))
