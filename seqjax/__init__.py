"""seqjax: sequence models as small pure functions that compose, and measures of what their gradients do.

Importing it loads jax and nothing heavier; the submodules that need more load when they are first used.
"""

import importlib
from typing import Any

from seqjax.batch import Batch
from seqjax.cell import Cell, Gated, Recurrent
from seqjax.cells.dropout import Dropout
from seqjax.cells.gru import GRU
from seqjax.cells.layers import Dense, Embed, Norm, Pointwise
from seqjax.cells.lstm import LSTM, LSTMCarry
from seqjax.cells.rnn import RNN
from seqjax.combinators import bidirectional, residual, stack
from seqjax.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    NotCausalError,
    SeqjaxError,
)
from seqjax.gating import gates, linear
from seqjax.ragged import Ragged
from seqjax.registry import cell_from_text
from seqjax.scan import explain, scan

__version__ = "0.1.0"
_LAZY = (
    "batching", "datasets", "diagnostics", "initializers", "losses", "plot", "tasks", "testing", "text", "train",
)  # fmt: skip

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ArgumentError",
    "ArgumentTypeError",
    "Batch",
    "Cell",
    "DataError",
    "Dense",
    "Dropout",
    "Embed",
    "Gated",
    "LSTMCarry",
    "Norm",
    "NotCausalError",
    "Pointwise",
    "Ragged",
    "Recurrent",
    "SeqjaxError",
    "bidirectional",
    "cell_from_text",
    "explain",
    "gates",
    "linear",
    "residual",
    "scan",
    "stack",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"seqjax.{name}")
    raise AttributeError(f"module 'seqjax' has no attribute {name!r}")
