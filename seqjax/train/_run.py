"""A training under way: its state on the devices, its best parameters, and both in checkpoints."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from seqjax.errors import ArgumentError, ArgumentTypeError, DataError, closest
from seqjax.train import _reports as reports
from seqjax.train._feed import AHEAD, placed, shardings_of
from seqjax.train._reports import Window
from seqjax.train.state import State
from seqjax.train.step import Step


class Best(NamedTuple):
    """The best evaluation so far: of which parameters, after how many steps; evaluations since."""

    params: Any
    value: float | None = None
    step: int | None = None
    waited: int = 0


class Run:
    """What changes while `fit` works; it is in a checkpoint all of it.

    state, window: after the latest step; the device may still be at work on them.
    longest: the longest row of skipped steps so far.
    """

    def __init__(
        self, step: Step, state: State, optimizer: Any, mesh: Any, specs: Any, judge: Any, checkpoints: Any
    ) -> None:
        self._step, self._judge, self._checkpoints = step, judge, checkpoints
        self._mesh = mesh
        self._shardings = None if mesh is None else shardings_of(state, optimizer, mesh, specs)
        self.state = state if mesh is None else placed(state, self._shardings)
        self._best = None if judge is None else Best(_copy(_averaged(self.state)))
        self._sums: dict[str, list[str]] = {}
        self._values: tuple[int, dict[str, float]] = (-1, {})
        self._program: Any = None
        self._fresh: Any = None
        self.window: Any = None
        self._flying: deque[jax.Array] = deque()
        if checkpoints is not None and checkpoints.latest() is not None:
            self._restore()

    def advance(self, batch: Any, starts: bool | None) -> None:
        """One step, not waited for, unless the device is far behind."""
        begins = () if starts is None else (starts,)
        if self._program is None:
            self._compile(batch, begins)
        self.state, self.window = self._program(self.state, self.window, batch, *begins)
        self.longest = self.window.longest
        self._flying.append(self.longest)
        if len(self._flying) > AHEAD:
            self._flying.popleft().block_until_ready()

    def take(self) -> Window:
        """The window, which begins anew."""
        window, self.window = self.window, self._fresh
        return window

    def judged(self, evaluate: Callable[[Any], Any], done: int) -> dict[str, float]:
        """Evaluate, and keep the parameters if they are the best so far.

        Raises:
            ArgumentError, ArgumentTypeError: `evaluate` did not return a dict of numbers with the one that decides.
        """
        assert self._best is not None
        name, higher = self._judge
        values = _numbers(evaluate(_averaged(self.state)), name)
        self._values = (done, values)
        value, before = values[name], self._best.value
        better = value == value and (before is None or (value > before if higher else value < before))
        if better:
            self._best = Best(_copy(_averaged(self.state)), value, done)
        else:
            self._best = self._best._replace(waited=self._best.waited + 1)
        return values

    def settled(self, patience: int | None, target: float | None) -> str:
        """Why there is no need to go on: "target" or "patience"; "" where there is."""
        if self._best is None:
            return ""
        value, higher = self._best.value, self._judge[1]
        if target is not None and value is not None and (value >= target if higher else value <= target):
            return "target"
        return "patience" if patience is not None and self._best.waited >= patience else ""

    def chosen(self) -> Any:
        """The parameters of the best evaluation; the average or the latest where there was none."""
        found = self._best is not None and self._best.value is not None
        return self._best.params if found else _averaged(self.state)  # type: ignore[union-attr]

    def best_found(self) -> dict[str, Any] | None:
        """Step and value of the best evaluation."""
        if self._best is None or self._best.value is None:
            return None
        return {"step": self._best.step, "value": self._best.value}

    def save(self, done: int) -> None:
        """Save everything, which waits for the device; in meta also what an evaluation of just now gave."""
        meta: dict[str, Any] = {"window": reports.packed(self.window)}
        if self._best is not None:
            now, values = self._values[0] == done, {self._judge[0]: None} | self._values[1]
            meta |= {f"evaluation/{name}": value if now else None for name, value in values.items()}
            value = None if self._best.value is None else self._best.value.hex()
            meta["best"] = {"value": value, "step": self._best.step, "waited": self._best.waited}
        self._checkpoints.save(done, self._tree(), meta)

    def _tree(self) -> dict[str, Any]:
        return {"state": self.state} | ({} if self._best is None else {"best": self._best.params})

    def _restore(self) -> None:
        step, tree, meta = self._checkpoints.restore(self._tree())
        # Copies, so that a step may take over their memory.
        tree = jax.tree.map(jnp.array, tree)
        self.state = tree["state"]
        if int(self.state.step) != step:
            raise DataError(f"checkpoint {step} holds the state after step {int(self.state.step)}; it is damaged")
        self._sums = meta.get("window", {})
        if self._best is not None:
            kept = meta["best"]
            value = None if kept["value"] is None else float.fromhex(kept["value"])
            self._best = Best(tree["best"], value, kept["step"], kept["waited"])

    def _compile(self, batch: Any, begins: Any) -> None:
        inner = jax.jit(self._step)

        def run(state: State, window: Window, batch: Any, *begins: Any) -> tuple[State, Window]:
            state, metrics = inner(state, batch, *begins)
            return state, reports.added(window, state, metrics)

        metrics = jax.eval_shape(inner, self.state, batch, *begins)[1]
        self._fresh = reports.empty(metrics, self.state)
        self.window = reports.unpacked(self._fresh, self._sums)
        if self._mesh is None:
            self._program = jax.jit(run, donate_argnums=0)
            return
        everywhere = NamedSharding(self._mesh, PartitionSpec())
        self._fresh, self.window = placed((self._fresh, self.window), everywhere)
        self._program = jax.jit(run, donate_argnums=0, out_shardings=(self._shardings, everywhere))


def _averaged(state: State) -> Any:
    return state.params if state.ema is None else state.ema


def _copy(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


def _numbers(values: Any, best: str) -> dict[str, float]:
    if not isinstance(values, dict):
        raise ArgumentTypeError(f"evaluate must return a dict of floats by name, found {type(values).__name__}")
    if best not in values:
        raise ArgumentError(f"best must name a value that evaluate returns, found {best!r}.{closest(best, values)}")
    try:
        return {name: float(value) for name, value in values.items()}
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"evaluate must return a dict of floats by name, found {values!r}") from None
