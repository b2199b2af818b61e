"""Where a walk backwards is, and what it has found."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.trees import is_inexact
from seqjax.core.plan import Plan
from seqjax.diagnostics.scaled import LOWEST, Scaled, log_norm, times
from seqjax.errors import ArgumentError

Back = Callable[[Scaled], Scaled]
"""From the cotangents of outputs to those of inputs, `[T, B]` scales each."""


@dataclass
class Report:
    """What is found on the way back.

    states: by part of the carry, log norms `[T, B]` of the cotangent of the carry that enters a step (time of xs).
    totals: by tap, log norms `[T, B]` of the whole derivative.
    parameters: log norms of the gradients of disjoint sets of parameters.
    """

    states: dict[str, jax.Array] = field(default_factory=dict)
    totals: dict[str, jax.Array] = field(default_factory=dict)
    parameters: list[jax.Array] = field(default_factory=list)


@dataclass(frozen=True)
class Way:
    """Where the walk is: real steps `[T, B]`, direction, whether carries are the initial ones, names, the report."""

    real: Any
    fresh: bool
    report: Report
    reverse: bool = False
    taps: str = ""
    carry: str = ""

    def into(self, tap: str, carry: str, **changes: Any) -> "Way":
        """The way into a part."""
        return replace(self, taps=f"{self.taps}{tap}/", carry=self.carry + carry, **changes)

    @property
    def plan(self) -> Plan:
        """The plan of a cell on this way."""
        return Plan(mask=self.real, reverse=self.reverse, gradient="autodiff")

    def note_totals(self, cotangents: dict[str, Any], exponent: Any) -> None:
        """Note the cotangents `[T, B, ...]` of taps."""
        for name, ct in cotangents.items():
            self.note_total(name, log_norm(ct, exponent))

    def note_total(self, name: str, logs: Any) -> None:
        """Note log norms `[T, B]`.

        Raises:
            ArgumentError: there are some of this name.
        """
        path = self.taps + name
        if path in self.report.totals:
            raise ArgumentError(
                f"two parts of a cell both have the path {path!r}; run each in a `seqjax.core.taps.scope`"
            )
        self.report.totals[path] = self.where_real(logs)

    def note_parameters(self, gradient: Scaled) -> None:
        """Note the gradient of a set of parameters, with one exponent."""
        self.report.parameters.append(log_norm(*gradient))

    def where_real(self, logs: Any) -> jax.Array:
        """NaN in unreal steps."""
        return jnp.where(self.real, logs, jnp.nan)


def weigh(leaves: list[Any], exponent: Any, real: Any) -> tuple[list[Any], Any]:
    """Leaves `[T, B, ...]` at one scale for all real examples and steps, as sums over them need, and its exponent."""
    exponent = jnp.where(real, exponent, LOWEST)
    top = jnp.max(exponent)
    return [times(leaf, exponent - top) for leaf in leaves], top


def zero_probes(run: Callable[[dict], Any]) -> dict[str, jax.Array]:
    """Zeros for each differentiable value that `run(probes)`, which returns them all, taps; not for outputs."""
    seen = jax.eval_shape(run, {})
    own = {name: leaf for name, leaf in seen.items() if name.rsplit("/", 1)[-1] != "y" and "/y/" not in f"/{name}"}
    return {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in own.items() if is_inexact(leaf)}
