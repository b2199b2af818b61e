"""The benchmark of Newton's method measures what it says."""

import pytest

from experiments.benchmarks import newton


@pytest.mark.slow
def test_a_point():
    rows = newton.measure(16, 2, 3, 2)
    assert [(row["call"], row["jacobian"]) for row in rows] == [
        (call, jacobian) for call in ("forward", "gradient") for jacobian in ("dense", "diagonal")
    ]
    for row in rows:
        assert 1 <= row["iterations"] <= 17 and row["newton_over_loop"] > 0 and row["runs"] == 2
