"""The benchmark of precision, at a tiny size."""

import pytest

import seqjax as sj
from experiments.benchmarks.precision import errors


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_errors_are_those_of_the_dtype(dtype, most):
    found = errors(sj.LSTM(64), dtype, 0, steps=20)
    assert set(found) == {"output_error", "carry_error", "gradient_error"}
    assert all(1e-9 < value < most for value in found.values())
