"""Training on top of optax: a pure step, a loop that can be stopped and resumed, exact evaluation, and sweeps.

step = make_train_step(loss, optax.adam(1e-3), clip=1.0)
result = fit(step, step.init(params, jax.random.key(0)), source, steps=1000)
"""

try:
    import optax as _optax  # noqa: F401
except ImportError as error:
    from seqjax.errors import DataError

    raise DataError("the package optax is not installed: pip install 'seqjax[train]'") from error

from seqjax.checkpoint import Checkpoints, load, save_model
from seqjax.train.curriculum import Curriculum, cut, shorter_examples
from seqjax.train.evaluation import Evaluation, evaluate
from seqjax.train.fit import Result, fit
from seqjax.train.log import Log, read_rows
from seqjax.train.mean import Mean
from seqjax.train.objective import make_loss
from seqjax.train.predict import predict
from seqjax.train.scheduled import Scheduled, ScheduledBatch
from seqjax.train.state import Skipped, State
from seqjax.train.step import TrainStep, make_train_step
from seqjax.train.sweep import Sweep, sweep

__all__ = [
    "Checkpoints",
    "Curriculum",
    "Evaluation",
    "Log",
    "Mean",
    "Result",
    "Scheduled",
    "ScheduledBatch",
    "Skipped",
    "State",
    "Sweep",
    "TrainStep",
    "cut",
    "evaluate",
    "fit",
    "load",
    "make_loss",
    "make_train_step",
    "predict",
    "read_rows",
    "save_model",
    "shorter_examples",
    "sweep",
]
