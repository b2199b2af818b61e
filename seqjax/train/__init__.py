"""Training on top of optax: a pure step, a loop that can be stopped and resumed, exact evaluation, and sweeps.

result = fit(loss, params, optax.adam(1e-3), source, steps=1000, key=jax.random.key(0), clip=1.0)
"""

try:
    import optax as _optax  # noqa: F401
except ImportError as error:
    from seqjax.errors import DataError

    raise DataError("the package optax is not installed: pip install 'seqjax[train]'") from error

from seqjax.checkpoint import Checkpoints, load, save_model
from seqjax.train.curriculum import Curriculum, cut
from seqjax.train.evaluation import evaluate
from seqjax.train.fit import Result, fit
from seqjax.train.log import read_rows
from seqjax.train.mean import Mean
from seqjax.train.state import Skipped, State, init_state
from seqjax.train.step import make_train_step
from seqjax.train.sweep import Sweep, sweep

__all__ = [
    "Checkpoints",
    "Curriculum",
    "Mean",
    "Result",
    "Skipped",
    "State",
    "Sweep",
    "cut",
    "evaluate",
    "fit",
    "init_state",
    "load",
    "make_train_step",
    "read_rows",
    "save_model",
    "sweep",
]
