"""seqjax: sequence models as small pure functions that compose, and measures of what their gradients do.

Importing it loads jax and nothing heavier; the submodules that need more load when they are first used.
"""

import importlib
from typing import Any

from seqjax.batch import Batch
from seqjax.cell import Cell, replace
from seqjax.cells.dropout import Dropout
from seqjax.cells.gru import GRU
from seqjax.cells.layers import Dense, Embed, Norm, Pointwise
from seqjax.cells.lstm import LSTM, LSTMCarry
from seqjax.cells.rnn import RNN
from seqjax.combinators import bidirectional, repeat, residual, stack
from seqjax.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    NotCausalError,
    SeqjaxError,
)
from seqjax.gating import gates, linear
from seqjax.held import Held
from seqjax.ragged import Ragged
from seqjax.recurrent import Gated, Recurrent
from seqjax.registry import cell_from_text
from seqjax.scan import explain, scan
from seqjax.taps import tap
from seqjax.trace import trace
from seqjax.wrapper import Wrapper

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
    "Held",
    "LSTMCarry",
    "Norm",
    "NotCausalError",
    "Pointwise",
    "Ragged",
    "Recurrent",
    "SeqjaxError",
    "Wrapper",
    "bidirectional",
    "cell_from_text",
    "explain",
    "gates",
    "linear",
    "repeat",
    "replace",
    "residual",
    "scan",
    "stack",
    "tap",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"seqjax.{name}")
    raise AttributeError(f"module 'seqjax' has no attribute {name!r}")
