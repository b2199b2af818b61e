"""Where in a cell the pass backwards is, and what it has found."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from seqjax._internal.trees import is_inexact
from seqjax._internal.types import Bool, Float, Int, PyTree
from seqjax.core.plan import Plan
from seqjax.diagnostics.scaled import LOWEST, Logs, Scaled, log_norm, log_norms, times
from seqjax.errors import ArgumentError

Pullback = Callable[[Scaled], Scaled]
"""From the cotangents of outputs to those of inputs, `[T, B]` scales each."""


@dataclass
class Findings:
    """What is found on the pass backwards.

    states: by part of the carry, log norms `[T, B]` of the cotangent of the carry that enters a step (time of xs).
    totals: by tap, log norms `[T, B]` of the whole derivative.
    agreements: by tap, how far rows agree `[T]` (see `Logs`), where it is asked for.
    parameters: log norms of the gradients of disjoint sets of parameters.
    """

    states: dict[str, jax.Array] = field(default_factory=dict)
    totals: dict[str, jax.Array] = field(default_factory=dict)
    agreements: dict[str, jax.Array] = field(default_factory=dict)
    parameters: list[jax.Array] = field(default_factory=list)

    def clear(self) -> None:
        """Nothing yet, for another pass."""
        for found in (self.states, self.totals, self.agreements, self.parameters):
            found.clear()


@dataclass(frozen=True)
class Place:
    """A part of the whole cell: which steps are real, in which direction it is read, and under which names.

    real: `[T, B]`. fresh: whether carries are the initial ones. findings: one for all places. reverse: whether it is
    read backwards. agreement: whether it is found too, how far rows agree. taps, carry: what stands before the names of
    its taps and of the parts of its carry.
    """

    real: Bool[jax.Array, " T B"]
    fresh: bool
    findings: Findings
    reverse: bool = False
    agreement: bool = False
    taps: str = ""
    carry: str = ""

    def enter(self, tap: str, carry: str, **changes: Any) -> "Place":
        """The place of a part."""
        return replace(self, taps=f"{self.taps}{tap}/", carry=self.carry + carry, **changes)

    @property
    def plan(self) -> Plan:
        """The plan of a cell that is run here."""
        return Plan(mask=self.real, reverse=self.reverse, gradient="autodiff")

    def record_taps(self, cotangents: dict[str, PyTree], exponent: Int[jax.Array, " T B"]) -> None:
        """Record the cotangents `[T, B, ...]` of taps."""
        for name, cotangent in cotangents.items():
            self.record_total(name, self.measure(cotangent, exponent))

    def measure(self, cotangent: PyTree, exponent: Int[jax.Array, " T B"]) -> Logs:
        """What is recorded of a cotangent."""
        return log_norms(cotangent, exponent, self.real if self.agreement else None)

    def record_total(self, name: str, logs: Logs) -> None:
        """Record log norms `[T, B]`.

        Raises:
            ArgumentError: there are some of this name.
        """
        path = self.taps + name
        if path in self.findings.totals:
            raise ArgumentError(
                f"two parts of a cell both have the path {path!r}; run each in a `seqjax.core.taps.scope`"
            )
        self.findings.totals[path] = self.hide_unreal(logs.rows)
        if logs.agreement is not None:
            self.findings.agreements[path] = logs.agreement

    def record_parameters(self, gradient: Scaled) -> None:
        """Record the gradient of a set of parameters, with one exponent."""
        self.findings.parameters.append(log_norm(*gradient))

    def hide_unreal(self, logs: Float[jax.Array, " T B"]) -> Float[jax.Array, " T B"]:
        """NaN in unreal steps."""
        return jnp.where(self.real, logs, jnp.nan)


def to_one_scale(
    leaves: list[jax.Array], exponent: Int[jax.Array, "..."], real: Bool[jax.Array, "..."] | bool
) -> tuple[list[jax.Array], Int[jax.Array, ""]]:
    """Leaves `[T, B, ...]` at one scale for all real examples and steps, as sums over them need, and its exponent."""
    exponent = jnp.where(real, exponent, LOWEST)
    top = jnp.max(exponent)
    return [times(leaf, exponent - top) for leaf in leaves], top


def zero_probes(run: Callable[[dict], dict[str, jax.Array]]) -> dict[str, jax.Array]:
    """Zeros for each differentiable value that `run(probes)`, which returns them all, taps; not for outputs."""
    seen = jax.eval_shape(run, {})
    own = {name: leaf for name, leaf in seen.items() if name.rsplit("/", 1)[-1] != "y" and "/y/" not in f"/{name}"}
    return {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in own.items() if is_inexact(leaf)}
