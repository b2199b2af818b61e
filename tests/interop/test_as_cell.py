"""Flax modules as cells: the law holds for each kind."""

import pytest
from flax import linen, nnx

from seqjax.interop import IN_FEATURES, as_cell
from seqjax.testing import check_cell
from tests.interop.flax_modules import (
    Encoder,
    LinenAttention,
    Perceptron,
    Windowed,
    cached_attention,
)

CELLS = {
    "protocol": as_cell(Windowed, IN_FEATURES, 4, rate=0.3),
    "not causal": as_cell(Encoder, 3, 4),
    "RNN cell": as_cell(nnx.GRUCell, 3, 4),
    "pointwise": as_cell(Perceptron, 3),
    "cache": as_cell(cached_attention, 4, 2, 320, rate=0.3),
    "linen cache": as_cell(LinenAttention, 2, 320),
    "linen rnn": as_cell(linen.OptimizedLSTMCell, 3),
    "dropout": as_cell(Perceptron, 3, rate=0.3),
}
slow = lambda *values: pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", CELLS)
def test_law(name):
    report = check_cell(CELLS[name], 4 if "cache" in name else 3)
    print(report)
