"""Cells that each break one part of the law."""

import dataclasses

import jax
import jax.numpy as jnp

import seqjax as sj
from seqjax.core import taps
from tests.attending_cells import AttendingLSTM, SelfAttention, WindowAttention
from tests.own_cells import LRU, DelayLine, Skip, TreeCell


class Leaky(sj.RNN):
    """Its output looks at another row of the batch."""

    def update(self, p, h, z, m):
        h, y = super().update(p, h, z, m)
        return h, y + jnp.broadcast_to(jnp.mean(y, axis=0, keepdims=True), y.shape)


class Drifting(sj.RNN):
    """Its sequence is not the fold of its step."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys * 1.001


class Seeing(sj.Pointwise):
    """It looks one step ahead."""

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        return {}

    def apply(self, params, x):
        return x

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return carry, xs + jnp.roll(xs, -1, axis=0)


class MaskBlind(sj.combinators.Bidirectional):
    """It carries on through unreal steps."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry, xs, dataclasses.replace(plan, mask=None))


class Widening(sj.Pointwise):
    """Its output is always float32."""

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        return {"s": jnp.ones((), dtype)}

    def apply(self, params, x):
        return x.astype(jnp.float32)


class DeafToResets(SelfAttention):
    """It attends across resets."""

    def all_at_once(self, params, carry, xs, mask, starts):
        return super().all_at_once(params, carry, xs, mask, None)


class DeafWindow(WindowAttention):
    """As a causal cell."""

    def all_at_once(self, params, fresh, carry, xs, mask, starts):
        return super().all_at_once(params, fresh, carry, xs, mask, None)


class AlwaysFresh(WindowAttention):
    """It never looks at its cache."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry, xs, dataclasses.replace(plan, fresh=True))


class NeverFresh(sj.GRU):
    """Told that its carry is fresh, it begins with another."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry + 0.1 * plan.fresh, xs, plan)


class Backward(sj.Wrapper):
    """Read in reverse, it gives its outputs in the order in which they were made."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys[::-1] if plan.reverse else ys


class ClockFromZero(TreeCell):
    """All its clocks begin at zero, whatever the carry says."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, {"h": carry["h"], "t": 0 * carry["t"]}, xs, plan)


class RowNumber(sj.RNN):
    """It knows which row it computes."""

    def update(self, p, h, z, m):
        h, y = super().update(p, h, z, m)
        return h, y + jax.lax.broadcasted_iota(y.dtype, y.shape, y.ndim - 2)


class Writing(AttendingLSTM):
    """It writes into what it holds, and so do its bases' drivers not."""

    def step(self, params, carry, x):
        (state, memory), y = super().step(params, carry, x)
        return (state, sj.Held(memory.value + 1)), y


class WrongSize(Skip):
    def size(self, in_features):
        return 1 + in_features


class Flat(DelayLine):
    """Its carry has no batch axes."""

    def initial_carry(self, params, batch_shape=(), *, in_features):
        return jnp.zeros((self.steps, in_features))


class Shy(sj.RNN):
    """Somebody looks, and it does something else."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        carry, ys = super().sequence(params, carry, xs, plan)
        return carry, ys * 1.001 if taps.is_tracing() else ys


class Imaginary(LRU):
    """All at once, it forgets the imaginary part of its carry."""

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return super().sequence(params, carry.real.astype(carry.dtype), xs, plan)


class NotUniform(sj.RNN):
    """It names the axis of features by a number."""

    uniform = True

    def step(self, params, carry, x):
        h = jax.nn.softmax(carry + x @ params["project"]["kernel"], axis=min(1, x.ndim - 1))
        return h, h.astype(jnp.result_type(params["project"]["kernel"], x))


class NarrowCarry(sj.RNN):
    """Its carry is as narrow as its parameters."""

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.features), params["mix"]["kernel"].dtype)
