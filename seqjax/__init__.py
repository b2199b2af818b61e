"""seqjax: sequence models as small pure functions that compose, and measures of what their gradients do.

Importing it loads jax and nothing heavier; the submodules that need more load when they are first used.
"""

import importlib
from typing import Any

from seqjax import cells, layers
from seqjax.batching.batch import Batch
from seqjax.batching.ragged import Ragged
from seqjax.cells import *  # noqa: F403
from seqjax.combinators import bidirectional, repeat, residual, stack
from seqjax.core.cell import Cell, replace
from seqjax.core.gating import activate, keep, linear
from seqjax.core.held import Held
from seqjax.core.loop import parallel
from seqjax.core.newton import Solution, newton
from seqjax.core.pieces import scan_sum
from seqjax.core.plan import Plan
from seqjax.core.recurrent import Gated, Recurrent
from seqjax.core.scan import explain, scan
from seqjax.core.taps import tap
from seqjax.core.trace import trace
from seqjax.core.wrapper import Wrapper
from seqjax.description import Description, describe
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, NotCausalError, SeqjaxError
from seqjax.layers import *  # noqa: F403
from seqjax.registry import cell_from_text

__version__ = "0.1.0"
_LAZY = (
    "attention", "batching", "checkpoint", "datasets", "decode", "diagnostics", "initializers", "interop", "losses",
    "metrics", "nn", "plot", "seq2seq", "tasks", "testing", "text", "train",
)  # fmt: skip

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "Batch",
    "Cell",
    "DataError",
    "Description",
    "Gated",
    "Held",
    "NotCausalError",
    "Plan",
    "Ragged",
    "Recurrent",
    "SeqjaxError",
    "Solution",
    "Wrapper",
    "activate",
    "bidirectional",
    "cell_from_text",
    "describe",
    "explain",
    "keep",
    "linear",
    "newton",
    "parallel",
    "repeat",
    "replace",
    "residual",
    "scan",
    "scan_sum",
    "stack",
    "tap",
    "trace",
]
__all__ += cells.__all__
__all__ += layers.__all__


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"seqjax.{name}")
    raise AttributeError(f"module 'seqjax' has no attribute {name!r}")
