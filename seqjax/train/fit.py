"""The training loop."""

import contextlib
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from seqjax._internal.signals import sigterm
from seqjax._internal.validation import whole_number
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train._feed import check_mesh, feed
from seqjax.train._progress import Progress
from seqjax.train._reports import Reports
from seqjax.train._run import Run
from seqjax.train.log import Log
from seqjax.train.state import State, init_state
from seqjax.train.step import make_train_step


class Result(NamedTuple):
    """What `fit` gives.

    state: the last `State`.
    params: those of the best evaluation; without `evaluate` the average if one is kept, else the last.
    best: {"step": ..., "value": ...} of the best evaluation, or None.
    history: the rows of `metrics.jsonl`, as dicts.
    reason: why it ended: "steps", "patience", "target" or "terminated".
    """

    state: State
    params: Any
    best: dict[str, Any] | None
    history: list[dict[str, Any]]
    reason: str


def fit(
    loss: Callable[..., Any],
    params: Any,
    optimizer: Any,
    source: Any,
    *,
    steps: int,
    key: jax.Array,
    clip: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    precision: str | None = None,
    carry: Callable[[Any, Any], Any] | None = None,
    max_skips: int = 10,
    every: int = 100,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
    evaluate_every: int | None = None,
    best: str = "loss",
    higher_is_better: bool = False,
    patience: int | None = None,
    target: float | None = None,
    log: Any = None,
    tensorboard: bool = False,
    checkpoints: Any = None,
    save_every: int | None = None,
    mesh: Any = None,
    specs: Any = None,
    progress: bool = True,
) -> Result:
    """Train for `steps` batches of a source, from the newest checkpoint if there is one.

    Step s takes `source.batch(s)` and draws from a key made of `key` and s, so that a training that was stopped and
    goes on ends as one that was not, bit for bit. Metrics stay on the device and are read once in `every` steps, while
    the device works on the next step. SIGTERM ends the training after the current step (where several processes train
    together: after the next step that `every` divides), with a checkpoint.

    Args:
        loss, optimizer, clip, accumulate, ema, precision, carry: as in `make_train_step`. With a carry the source
            must have `starts(step)`, as `Stream`: there the carry begins anew, elsewhere it is handed on.
        params: parameters to start from; they are not changed.
        source: has `batch(step)`; with several processes `batch(step, index, count)`, the rows of one of them.
        steps: to train for in all, those before the checkpoint too.
        key: from `jax.random.key`.
        max_skips: this many skipped steps in a row (see `make_train_step`) are an error; noticed at the next report.
        every: steps from report to report; a report is the mean over them.
        evaluate: a function of the parameters (the average, where `ema` is given) that returns a dict of floats, such
            as `lambda params: train.evaluate(score, params, validation)`. The parameters given to it may be gone
            afterwards: they are not to be kept.
        evaluate_every: steps from evaluation to evaluation; `every` where None.
        best, higher_is_better: the name of the value in that dict which decides, and which way it goes.
        patience: stop after this many evaluations in a row without a better value.
        target: stop at the first evaluation whose value is as good as this.
        log: a folder for `metrics.jsonl`; `tensorboard` adds TensorBoard's files (package tensorboardX).
        checkpoints: has `save(step, tree, meta)`, `latest()` and `restore(template)`, as `Checkpoints`. One is saved
            every `save_every` steps, or `evaluate_every` where None, and at the end. The tree is {"state": State}, and
            with `evaluate` also "best": parameters. In meta stand "evaluation/loss" and the like.
        mesh: a `jax.sharding.Mesh` along whose first axis the rows of a batch are divided. Parameters are on every
            device, or divided as `specs` say: a `PartitionSpec`, or a tree of them like the parameters.
        progress: show it.

    Raises:
        ArgumentError, ArgumentTypeError: an argument that cannot be right; too many skipped steps.
        DataError: log or checkpoint cannot be read or written.
    """
    step = make_train_step(loss, optimizer, clip=clip, accumulate=accumulate, ema=ema, precision=precision, carry=carry)
    steps, every, max_skips = (
        whole_number("steps", steps),
        whole_number("every", every, 1),
        whole_number("max_skips", max_skips, 1),
    )
    evaluate_every = every if evaluate_every is None else whole_number("evaluate_every", evaluate_every, 1)
    save_every = evaluate_every if save_every is None else whole_number("save_every", save_every, 1)
    _check(source, carry, evaluate, patience, target, log, tensorboard, checkpoints)
    check_mesh(mesh, specs)
    state = init_state(params, optimizer, key, carry=carry, ema=ema is not None)
    run = Run(step, state, optimizer, mesh, specs, (best, higher_is_better) if evaluate else None, checkpoints)
    start = done = int(run.state.step)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(sigterm())
        told = _reports(stack, start, steps, log, tensorboard, checkpoints is not None, max_skips, progress)
        batches = stack.enter_context(contextlib.closing(feed(source, start, max(start, steps), mesh)))
        reason = run.settled(patience, target) or ("steps" if start >= steps else "")
        while not reason:
            run.advance(next(batches), None if carry is None else source.starts(done))
            done += 1
            told.read(run.state)  # what waits, while the device works on this step
            if done % every == 0:
                told.later(done, run.take())
            if evaluate is not None and done % evaluate_every == 0:
                told.read(run.state)
                told.evaluated(done, run.judged(evaluate, done))
            reason = run.settled(patience, target) or ("steps" if done == steps else "")
            if not reason and stop(done % every == 0):
                reason = "terminated"
            if checkpoints is not None and (reason or done % save_every == 0):
                told.read(run.state)
                told.check(run.longest, run.state)
                run.save(done)
        if done % every and done > start:
            told.later(done, run.window, partial=True)
        told.read(run.state)
    return Result(run.state, run.chosen(), run.best_found(), told.history, reason)


def _reports(
    stack: contextlib.ExitStack,
    start: int,
    steps: int,
    log: Any,
    tensorboard: bool,
    replace: bool,
    max_skips: int,
    progress: bool,
) -> Reports:
    """Log and progress line, closed with the stack; the first of several processes alone has them."""
    first = jax.process_index() == 0
    file = Log(log, start, replace, tensorboard) if log is not None and first else None
    line = Progress(start, steps) if progress and first else None
    if file is not None:
        stack.callback(file.close)
    if line is not None:
        stack.callback(line.close)
    return Reports(file, line, max_skips)


def _check(
    source: Any, carry: Any, evaluate: Any, patience: Any, target: Any, log: Any, tensorboard: Any, checkpoints: Any
) -> None:
    if carry is not None and not callable(getattr(source, "starts", None)):
        raise ArgumentTypeError(f"a carry needs a source with starts(step), as Stream; found {type(source).__name__}")
    if evaluate is not None and not callable(evaluate):
        raise ArgumentTypeError(
            f"evaluate must be a function of the parameters, found {type(evaluate).__name__}. "
            "Write lambda params: train.evaluate(score, params, validation)"
        )
    if patience is not None and evaluate is None:
        raise ArgumentError("patience waits for a better evaluation; pass evaluate= too")
    if target is not None and evaluate is None:
        raise ArgumentError("target is a value of an evaluation; pass evaluate= too")
    if target is not None and (isinstance(target, bool) or not isinstance(target, numbers.Real) or target != target):
        raise ArgumentTypeError(f"target must be a number, found {target!r}")
    if patience is not None:
        whole_number("patience", patience, 1)
    if tensorboard and log is None:
        raise ArgumentError("tensorboard needs a folder; pass log= too")
    for name in ("save", "latest", "restore") if checkpoints is not None else ():
        if not callable(getattr(checkpoints, name, None)):
            raise ArgumentTypeError(
                f"checkpoints must have save, latest and restore, as Checkpoints(folder); found {checkpoints!r}"
            )
