"""What a decoder that attends carries from step to step, and what it holds of its source."""

from typing import Any, NamedTuple

from seqjax._internal.types import Array, Bool, Carry, Float, Int
from seqjax.core.held import Held


class Source(NamedTuple):
    """What every step reads of a memory; made once, in `initial_carry`.

    values: `[*B, S, E]`, zero where `mask` is False.
    keys: what the score makes of the values alone, `[*B, S, ...]`; None where it takes them as they are.
    mask: bool `[*B, S]`, or None where all steps are real.
    tokens: ids of the source `[*B, S]`, or None.
    ends: the values of the last real step and of the first, `[*B, 2 E]`; None where the decoder starts from zeros.
    """

    values: Float[Array, "*B S E"]
    keys: Float[Array, "*B S H"] | None = None
    mask: Bool[Array, "*B S"] | None = None
    tokens: Int[Array, "*B S"] | None = None
    ends: Float[Array, "*B E2"] | None = None


class AttendCarry(NamedTuple):
    """The carry of `attend(cell)`.

    state: the carry of the cell within.
    fed: `[*B, F]`, the output of the cell (feed="before") or the whole output (feed="after") of the step before.
    weights: `[*B, S]`, where the score reads what was attended to before; else `()`.
    memory: a `Held` with the `Source`.
    """

    state: Carry
    fed: Float[Array, "*B F"]
    weights: Any
    memory: Held
