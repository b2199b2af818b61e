"""How a cell is to run over a sequence."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax

from seqjax._internal.types import Array, Bool, Int


@dataclass(frozen=True)
class Newton:
    """How `engine="newton"` solves; `seqjax.newton` tells what each means."""

    jacobian: str = "dense"
    iterations: int = 100
    fallback: bool = False


@dataclass(frozen=True)
class Plan:
    """How a cell runs over a sequence; what each field means stands in `seqjax.scan`.

    mask, resets: bool `[T, B]` or None. Where the mask is False `xs` must already be filled (`fill_padding`).
    lengths: `[B]`, when the mask was given as lengths: real steps then come first. The mask is there too.
    fresh: the carry is the one a sequence begins with, and no call of `sequence` or `run` will see another
        (False under `checkpoint`), so that a cache need not be looked at.
    engine: what was asked for; "auto" leaves the choice to the cell; "newton" may come with its settings.

    `scan` makes one for every call. A cell that overrides `sequence` is given it, and hands it on:

        >>> import seqjax as sj
        >>> class Doubled(sj.Wrapper):
        ...     def sequence(self, params, carry, xs, plan=sj.Plan()):
        ...         carry, ys = self.cell.sequence(params, carry, xs, plan)
        ...         return carry, 2 * ys
        >>> sj.Plan(reverse=True)
        Plan(mask=None, resets=None, lengths=None, fresh=False, engine='auto', reverse=True, gradient='deferred',
             checkpoint=None, unroll=1, memory='auto', checked=False)
    """

    mask: Bool[Array, " T *B"] | None = None
    resets: Bool[Array, " T *B"] | None = None
    lengths: Int[Array, "*B"] | None = None
    fresh: bool = False
    engine: str | Newton = "auto"
    reverse: bool = False
    gradient: str = "deferred"
    checkpoint: int | str | None = None
    unroll: int = 1
    memory: str = "auto"
    checked: bool = False


def find_starts(plan: Plan) -> Bool[Array, " T *B"] | None:
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
    # Read backwards, step t is entered from the real step after it, whose number `following` is: its reset counts.
    length = resets.shape[0]
    steps = lax.broadcasted_iota(jnp.int32, resets.shape, 0)
    real = lax.cummin(jnp.where(plan.mask, steps, length), axis=0, reverse=True)
    following = jnp.concatenate([real[1:], jnp.full_like(real[:1], length)])
    flagged = jnp.take_along_axis(resets, jnp.minimum(following, length - 1), axis=0)
    return flagged & (following < length) & plan.mask
