"""How a cell is to run over a sequence, and a record of how it did."""

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import lax

_record: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("record", default=None)


@dataclass(frozen=True)
class Plan:
    """How a cell runs over a sequence; what each field means stands in `seqjax.scan`.

    mask, resets: bool `[T, B]` or None. Where the mask is False `xs` must already be harmless (`driver.harmless`).
    lengths: `[B]`, when the mask was given as lengths: real steps then come first. The mask is there too.
    fresh: the carry is the one a sequence begins with, and no call of `sequence` or `run` will see another
        (False under `checkpoint`), so that a cache need not be looked at.
    engine: what was asked for; "auto" leaves the choice to the cell.
    """

    mask: Any = None
    resets: Any = None
    lengths: Any = None
    fresh: bool = False
    engine: str = "auto"
    reverse: bool = False
    gradient: str = "deferred"
    checkpoint: int | str | None = None
    unroll: int = 1
    checked: bool = False


def boundaries(plan: Plan) -> Any:
    """The flags "start anew before this step" in the direction of travel.

    A reset at step t parts t from t-1. Read backwards, it falls before the next real step below t, however
    many unreal steps lie between.
    """
    if plan.resets is None:
        return None
    resets = plan.resets if plan.mask is None else plan.resets & plan.mask
    if not plan.reverse or resets.shape[0] == 0:
        return resets
    last = jnp.zeros_like(resets[:1])
    if plan.mask is None:
        return jnp.concatenate([resets[1:], last])
    length = resets.shape[0]
    steps = lax.broadcasted_iota(jnp.int32, resets.shape, 0)
    real = lax.cummin(jnp.where(plan.mask, steps, length), axis=0, reverse=True)
    following = jnp.concatenate([real[1:], jnp.full_like(real[:1], length)])
    flagged = jnp.take_along_axis(resets, jnp.minimum(following, length - 1), axis=0)
    return flagged & (following < length) & plan.mask


@contextlib.contextmanager
def recording() -> Iterator[list[str]]:
    """Collect a line for each path taken by the cells that run inside the block."""
    lines: list[str] = []
    token = _record.set(lines)
    try:
        yield lines
    finally:
        _record.reset(token)


def is_recording() -> bool:
    """Whether a block of `recording` is active."""
    return _record.get() is not None


def note(line: str) -> None:
    """Add a line to the record of `recording`, if there is one."""
    lines = _record.get()
    if lines is not None and line not in lines:
        lines.append(line)
