"""The training loop."""

import contextlib
import signal
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from seqjax._internal import progress as progress_bar
from seqjax._internal.signals import stop_requests
from seqjax._internal.types import PyTree
from seqjax._internal.validation import true_or_false, whole_number
from seqjax.batching.source import Batches
from seqjax.errors import ArgumentTypeError
from seqjax.train._feed import check_mesh, feed
from seqjax.train._init import check_state
from seqjax.train._protocols import Store
from seqjax.train._reports import Reports
from seqjax.train._run import Best, Run
from seqjax.train._skips import padding_hint
from seqjax.train._writer import Writer
from seqjax.train.evaluation import Evaluation
from seqjax.train.log import Log, Row
from seqjax.train.state import State
from seqjax.train.step import TrainStep


class Result(NamedTuple):
    """What `fit` gives.

    state: the last `State`.
    params: those of the best evaluation; without one the average if one is kept, else the last.
    best: step and value of the best evaluation, or None.
    history: the rows of `metrics.jsonl`, as dicts.
    reason: why it ended: "steps", "patience", "target" or "terminated" (by SIGTERM or ^C).
    """

    state: State
    params: PyTree
    best: Best | None
    history: list[Row]
    reason: str


def fit(
    step: TrainStep,
    state: State,
    source: Batches,
    *,
    steps: int,
    every: int = 100,
    evaluation: Evaluation | None = None,
    log: Log | Path | str | None = None,
    checkpoints: Store | None = None,
    mesh: Mesh | None = None,
    progress: bool = True,
) -> Result:
    """Train for `steps` batches of a source, from the newest checkpoint if there is one.

    Step s takes `source.batch(s)` and draws from a key made of the state's and s, so that a training that was stopped
    and goes on ends as one that was not, bit for bit. Metrics stay on the device and are read once in `every` steps,
    while the device works on the next step. SIGTERM or ^C ends the training after the current step (where several
    processes train together: after the next step that `every` divides), with a checkpoint; a second ^C at once.

    A training that goes on with another optimiser, option of the step, key, source or metric, or with an evaluation
    where there was none or the reverse, says so in a warning of the logger "seqjax"; another loss or other initial
    parameters cannot be seen. So does one whose steps are skipped, at the report of the first.

    Args:
        step: from `make_train_step`. One with a carry needs a source with `starts(step)`, as `Stream`: there the
            carry begins anew, elsewhere it is handed on.
        state: to start from, `step.init(params, key)`; it is not changed.
        source: has `batch(step)`; with several processes `batch(step, index, count)`, the rows of one of them.
        steps: to train for in all, those before the checkpoint too.
        every: steps from report to report; a report is the mean over them.
        evaluation: what is measured of the parameters, how often, and when that is reason to stop.
        log: a folder for `metrics.jsonl`, or a `Log`.
        checkpoints: has `save(step, tree, meta)`, `latest()` and `restore(template)`, as `Checkpoints`. One is saved
            every `checkpoints.every` steps (where that is None, when evaluating, else at each report), and at the
            end. The tree is {"state": State}, and with an evaluation also "best": parameters.
        mesh: a `jax.sharding.Mesh` along whose first axis the rows of a batch are divided. Parameters that the state
            has divided over it stay so, and what the optimiser keeps for them; others are on every device.
        progress: show it.

    Raises:
        ArgumentError, ArgumentTypeError: an argument that cannot be right; too many skipped steps.
        DataError: log or checkpoint cannot be read or written.

    Examples:
        >>> import jax, numpy as np, optax
        >>> from seqjax import batching, train
        >>> xs = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1, 1)
        >>> source = batching.Shuffled(xs, 2 * xs[:, 0, 0], 4)
        >>> def loss(params, batch, key):
        ...     return train.Mean.of((params["w"] * batch.inputs[:, 0, 0] - batch.targets) ** 2, batch.weights)
        >>> step = train.make_train_step(loss, optax.sgd(0.5))
        >>> state = step.init({"w": np.zeros(())}, jax.random.key(0))
        >>> evaluation = train.Evaluation(lambda params: train.evaluate(loss, params, source), target=1e-6)
        >>> result = train.fit(step, state, source, steps=100, every=10, evaluation=evaluation, progress=False)
        >>> result.reason, result.best.step, round(float(result.params["w"]), 2)
        ('target', 20, 2.0)
        >>> [row["step"] for row in result.history if "loss" in row]
        [10, 20]
    """
    steps, every = whole_number("steps", steps), whole_number("every", every, 1)
    _check(step, state, source, evaluation, checkpoints)
    check_mesh(mesh)
    evaluate_every = every if evaluation is None or evaluation.every is None else evaluation.every
    save_every = getattr(checkpoints, "every", None) or evaluate_every
    starts = None if step.carry is None else source.starts  # type: ignore[attr-defined]
    run = Run(step, state, source, mesh, evaluation, checkpoints)
    start = done = int(run.state.step)
    reason = run.reason_to_stop(done, steps)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_requests(signal.SIGTERM, signal.SIGINT))
        writer = _writer(stack, log, start, not reason, checkpoints is not None)
        shown = true_or_false("progress", progress) and jax.process_index() == 0
        bar = stack.enter_context(progress_bar.bar(steps, start)) if shown else progress_bar.Bar()
        reports = Reports(writer, bar, step.max_skips, lambda step: padding_hint(source.batch(step)))
        batches = stack.enter_context(contextlib.closing(feed(source, start, max(start, steps), mesh)))
        while not reason:
            run.advance(next(batches), None if starts is None else starts(done))
            done += 1
            reports.read(run.state)  # what waits, while the device works on this step
            if done % every == 0:
                reports.defer(done, run.take_window())
            if evaluation is not None and done % evaluate_every == 0:
                reports.read(run.state)
                reports.add_evaluation(done, run.evaluate(evaluation, done))
            reason = run.reason_to_stop(done, steps)
            if not reason and stop(done % every == 0):
                reason = "terminated"
            if reason and done % every:
                reports.defer(done, run.window, partial=True)
            if checkpoints is not None and (reason or done % save_every == 0):
                reports.read(run.state)
                reports.check(run.longest, run.state)
                run.save(checkpoints, done)
        reports.read(run.state)
    return Result(run.state, run.params(), run.best, reports.history, reason)


def _writer(
    stack: contextlib.ExitStack, log: Log | Path | str | None, start: int, going_on: bool, replace: bool
) -> Writer | None:
    """The log, closed with the stack; the first of several processes alone has one."""
    if log is None or jax.process_index() != 0:
        return None
    log = log if isinstance(log, Log) else Log(log)
    return stack.enter_context(contextlib.closing(Writer(log, start, going_on, replace)))


def _check(step: object, state: object, source: object, evaluation: object, checkpoints: object) -> None:
    if not isinstance(step, TrainStep):
        slip = " fit compiles it itself" if callable(step) else ""
        raise ArgumentTypeError(f"step must be what make_train_step returns, found {type(step).__name__}.{slip}")
    check_state(state, step.optimizer, step.ema, step.carry)
    if step.carry is not None and not callable(getattr(source, "starts", None)):
        raise ArgumentTypeError(f"a carry needs a source with starts(step), as Stream; found {type(source).__name__}")
    if evaluation is not None and not isinstance(evaluation, Evaluation):
        slip = f" Write train.Evaluation({getattr(evaluation, '__name__', 'function')})" if callable(evaluation) else ""
        raise ArgumentTypeError(f"evaluation must be an Evaluation or None, found {type(evaluation).__name__}.{slip}")
    for name in ("save", "latest", "restore") if checkpoints is not None else ():
        if not callable(getattr(checkpoints, name, None)):
            raise ArgumentTypeError(
                f"checkpoints must have save, latest and restore, as Checkpoints(folder); found {checkpoints!r}"
            )
