"""A training under way: its state on the devices, its best parameters, and both in checkpoints."""

import logging
from collections import deque
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from seqjax._internal.types import PyTree
from seqjax.batching.source import Batches
from seqjax.errors import DataError
from seqjax.train import _reports as reports
from seqjax.train._feed import AHEAD, place, shardings_of
from seqjax.train._protocols import Store
from seqjax.train._reports import Window
from seqjax.train._restoring import restore_any
from seqjax.train._settings import changes, settings_of
from seqjax.train.evaluation import Evaluation
from seqjax.train.state import State
from seqjax.train.step import TrainStep

logger = logging.getLogger("seqjax")


class Best(NamedTuple):
    """The best evaluation: after how many steps, and its value."""

    step: int
    value: float


class Run:
    """What changes while `fit` works; it is in a checkpoint all of it.

    state, window: after the latest step; the device may still be at work on them.
    longest: the longest row of skipped steps so far.
    best: the best evaluation so far.
    """

    def __init__(
        self,
        step: TrainStep,
        state: State,
        source: Batches,
        mesh: Mesh | None,
        evaluation: Evaluation | None,
        checkpoints: Store | None,
    ) -> None:
        self._step, self._evaluation = step, evaluation
        self._mesh = mesh
        self._shardings = None if mesh is None else shardings_of(state, step.optimizer, mesh)
        # A copy, as a step takes over the memory of the state that it is given.
        self.state = _copy(state if mesh is None else place(state, self._shardings))
        self.best: Best | None = None
        self._waited = 0  # evaluations since the best
        self._best_params = None if evaluation is None else _copy(_newest_params(self.state))
        self._sums: dict[str, list[float]] = {}
        self._program: Any = None
        self._empty: Any = None
        self.window: Any = None
        self._in_flight: deque[jax.Array] = deque()
        self._settings = {} if checkpoints is None else settings_of(step, state, source, evaluation)
        if checkpoints is not None and checkpoints.latest() is not None:
            self._restore(checkpoints)

    def advance(self, batch: PyTree, starts: bool | None) -> None:
        """One step, not waited for, unless the device is far behind."""
        options = () if starts is None else (starts,)
        if self._program is None:
            self._compile(batch, options)
        self.state, self.window = self._program(self.state, self.window, batch, *options)
        self.longest = self.window.longest
        self._in_flight.append(self.longest)
        if len(self._in_flight) > AHEAD:
            self._in_flight.popleft().block_until_ready()

    def take_window(self) -> Window:
        """The window, which begins anew."""
        window, self.window = self.window, self._empty
        return window

    def evaluate(self, evaluation: Evaluation, done: int) -> dict[str, float]:
        """Evaluate, and keep the parameters if they are the best so far."""
        values = evaluation.measure(_newest_params(self.state))
        value = values[evaluation.metric]
        if evaluation.is_better(value, None if self.best is None else self.best.value):
            self.best, self._waited, self._best_params = Best(done, value), 0, _copy(_newest_params(self.state))
        else:
            self._waited += 1
        return values

    def reason_to_stop(self, done: int, steps: int) -> str:
        """Why there is no need to go on: "target", "patience" or "steps"; "" where there is."""
        reason = ""
        if self._evaluation is not None:
            reason = self._evaluation.reason_to_stop(None if self.best is None else self.best.value, self._waited)
        return reason or ("steps" if done >= steps else "")

    def params(self) -> PyTree:
        """The parameters of the best evaluation; the average or the latest where there was none."""
        return _newest_params(self.state) if self.best is None else self._best_params

    def save(self, checkpoints: Store, done: int) -> None:
        """Save everything, which waits for the device."""
        meta: dict[str, Any] = {"window": reports.sums_of(self.window), "settings": self._settings}
        if self._evaluation is not None:
            step, value = self.best or (None, None)
            meta["best"] = {"value": value, "step": step, "waited": self._waited}
        checkpoints.save(done, self._tree(), meta)

    def _tree(self) -> dict[str, PyTree]:
        return {"state": self.state} | ({} if self._evaluation is None else {"best": self._best_params})

    def _restore(self, checkpoints: Store) -> None:
        step, tree, meta = restore_any(checkpoints, self.state, self._evaluation is not None)
        tree = jax.tree.map(jnp.array, tree)  # copies, so that a step may take over their memory
        self.state = tree["state"]
        if int(self.state.step) != step:
            raise DataError(f"checkpoint {step} holds the state after step {int(self.state.step)}; it is damaged")
        if found := changes(meta.get("settings", {}), self._settings, self.state.opt_state):
            logger.warning("going on from step %d with changes: %s", step, "; ".join(found))
        self._sums = meta.get("window", {})
        if self._evaluation is not None:
            self._restore_best(meta, tree.get("best"))

    def _restore_best(self, meta: dict[str, Any], params: PyTree) -> None:
        metric = self._settings["metric"]
        if params is None or meta.get("settings", {}).get("metric", metric) != metric:
            # No evaluation up to now, or one of another metric, with whose values these cannot be compared.
            self._best_params = _copy(_newest_params(self.state))
            return
        best = meta["best"]
        self.best = None if best["value"] is None else Best(best["step"], best["value"])
        self._waited, self._best_params = best["waited"], params

    def _compile(self, batch: PyTree, options: tuple[bool, ...]) -> None:
        step = jax.jit(self._step)

        def run(state: State, window: Window, batch: PyTree, *options: PyTree) -> tuple[State, Window]:
            state, metrics = step(state, batch, *options)
            return state, reports.add_step(window, state, metrics)

        metrics = jax.eval_shape(step, self.state, batch, *options)[1]
        self._empty = reports.empty_window(metrics, self.state)
        self.window = reports.with_sums(self._empty, self._sums)
        if self._mesh is None:
            self._program = jax.jit(run, donate_argnums=0)
            return
        everywhere = NamedSharding(self._mesh, PartitionSpec())
        self._empty, self.window = place((self._empty, self.window), everywhere)
        self._program = jax.jit(run, donate_argnums=0, out_shardings=(self._shardings, everywhere))


def _newest_params(state: State) -> PyTree:
    """The average, where one is kept: it is what is evaluated and returned."""
    return state.params if state.ema is None else state.ema


def _copy(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.copy, tree)
