"""Cells with attention as users write them: a window with a cache, both directions, a memory that is held."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax import LSTM, Cell, Held, NotCausalError, tap
from seqjax.core.loop import parallel
from seqjax.core.plan import Plan


def projections(key, in_features, features, dtype, names):
    keys = jax.random.split(key, len(names))
    return {n: jax.random.normal(k, (in_features, features), dtype) / in_features**0.5 for n, k in zip(names, keys)}


def attention(q, k, v, allowed):
    """q [B, T, H], k and v [B, S, H], allowed [B, T, S]; a row that may look nowhere gives zeros."""
    scores = jnp.einsum("...th,...sh->...ts", q, k) / q.shape[-1] ** 0.5
    scores = jnp.where(allowed, scores, -1e30)
    weights = jnp.where(allowed, jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True)), 0)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return jnp.einsum("...ts,...sh->...th", weights / jnp.where(total > 0, total, 1), v)


class Cache(NamedTuple):
    """Keys and values [B, W, H] of the last W steps, and how many steps there were before each and in all."""

    k: jax.Array
    v: jax.Array
    at: jax.Array  # [B, W], -1 where there is none
    count: jax.Array  # [B]


class WindowAttention(Cell):
    """Causal attention over the last `window` steps, all steps at once: a ring buffer of keys is its carry."""

    features: int
    window: int = 3
    narrow = True

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        return projections(key, in_features, self.features, dtype, "qkv")

    def initial_carry(self, params, batch_shape=()):
        zeros = jnp.zeros((*batch_shape, self.window, self.features), params["k"].dtype)  # narrow as the parameters
        return Cache(zeros, zeros, jnp.full(zeros.shape[:-1], -1), jnp.zeros(batch_shape, int))

    def step(self, params, carry, x):
        carry, ys = self.all_at_once(params, False, carry, x[None], None, None)
        return carry, ys[0]

    def sequence(self, params, carry, xs, plan=Plan()):
        return parallel(functools.partial(self.all_at_once, params, plan.fresh), carry, xs, plan)

    def all_at_once(self, params, fresh, carry, xs, mask, starts):
        batch_major = lambda a: jnp.moveaxis(a, 0, len(carry.count.shape))
        q, k, v = (batch_major(xs @ params[n]) for n in "qkv")
        real = jnp.ones_like(xs[..., 0], bool) if mask is None else mask
        begun = jnp.zeros_like(real) if starts is None else starts
        real, segment = batch_major(real), jnp.cumsum(batch_major(begun), axis=-1)
        steps = jnp.cumsum(real, axis=-1)
        before = jnp.where(batch_major(begun), steps - 1, jnp.broadcast_to(-carry.count[..., None], steps.shape))
        since = steps - jax.lax.cummax(before, axis=before.ndim - 1)  # steps since the last start, this one counted
        at = since - 1
        far = jnp.where(real, at, -1)
        keys, values, when, which = k, v, far, segment
        if not fresh:
            keys, values = (jnp.concatenate([a.astype(b.dtype), b], axis=-2) for a, b in ((carry.k, k), (carry.v, v)))
            when = jnp.concatenate([carry.at, far], axis=-1)
            which = jnp.concatenate([jnp.zeros_like(carry.at), segment], axis=-1)
        ago = at[..., :, None] - when[..., None, :]
        same = segment[..., :, None] == which[..., None, :]
        allowed = (when[..., None, :] >= 0) & (ago >= 0) & (ago < self.window) & same & real[..., None]
        ys = attention(q, keys, values, allowed)
        count = since[..., -1]
        left = count[..., None] - when  # 1 for the newest
        kept = (when >= 0) & (left <= self.window) & (which == segment[..., -1:])
        slots = jnp.arange(self.window).reshape((1,) * count.ndim + (self.window, 1))
        put = kept[..., None, :] & (when[..., None, :] % self.window == slots)  # [B, W, S]
        pick = lambda a: jnp.einsum("...ws,...sh->...wh", put.astype(a.dtype), a)
        held = jnp.max(jnp.where(put, when[..., None, :], -1), axis=-1)
        ys = jnp.moveaxis(ys, -2, 0).astype(jnp.result_type(params["q"], xs))
        return Cache(pick(keys), pick(values), held, count), ys


class SelfAttention(Cell):
    """Attention in both directions, as in an encoder."""

    features: int
    causal = False

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        return projections(key, in_features, self.features, dtype, "qkv")

    def initial_carry(self, params, batch_shape=()):
        return ()

    def step(self, params, carry, x):
        raise NotCausalError("it sees the whole sequence")

    def sequence(self, params, carry, xs, plan=Plan()):
        return parallel(functools.partial(self.all_at_once, params), carry, xs, plan, causal=False)

    def all_at_once(self, params, carry, xs, mask, starts):
        q, k, v = (jnp.moveaxis(xs @ params[n], 0, -2) for n in "qkv")
        real = jnp.moveaxis(jnp.ones_like(xs[..., 0], bool) if mask is None else mask, 0, -1)
        begun = jnp.zeros_like(real) if starts is None else jnp.moveaxis(starts, 0, -1)
        segment = jnp.cumsum(begun, axis=-1)
        allowed = (segment[..., :, None] == segment[..., None, :]) & real[..., None, :] & real[..., :, None]
        return carry, jnp.moveaxis(attention(q, k, v, allowed), -2, 0)


class AttendingLSTM(Cell):
    """An LSTM that looks at a memory [B, S, M] before each step (dot product with its own h)."""

    features: int
    asks = frozenset({"memory"})

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        return LSTM(self.features).init(key, in_features + self.features, dtype)

    def initial_carry(self, params, batch_shape=(), *, memory):
        return LSTM(self.features).initial_carry(params, batch_shape), Held(memory)

    def restart(self, params, carry, batch_shape):
        return LSTM(self.features).initial_carry(params, batch_shape), carry[1]

    def step(self, params, carry, x):
        state, memory = carry
        scores = jnp.einsum("...h,...sh->...s", state.h, memory.value.astype(state.h.dtype))
        weights = tap("weights", jax.nn.softmax(scores, axis=-1))
        context = jnp.einsum("...s,...sh->...h", weights, memory.value.astype(state.h.dtype))
        state, y = LSTM(self.features).step(params, state, jnp.concatenate([x, context.astype(x.dtype)], axis=-1))
        return (state, memory), y


def memory_for(cell):
    """`make_carry` of `check_cell` for cells that read a memory."""

    def make(key, params, batch):
        memory = jax.random.normal(key, (*batch, 5, 3))
        return cell.initial_carry(params, batch, **{n: {"memory": memory, "key": key}[n] for n in cell.asks})

    return make


class Bank(Cell):
    """It holds a memory that is made of its parameters."""

    out_features = 4

    def init(self, key, in_features, dtype=jnp.float32):
        return {"m": jax.random.normal(key, (3, 4), dtype)}

    def initial_carry(self, params, batch_shape=()):
        memory = jnp.broadcast_to(params["m"], (*batch_shape, 3, 4))
        return jnp.zeros((*batch_shape, 4), jnp.promote_types(params["m"].dtype, jnp.float32)), Held(memory)

    def step(self, params, carry, x):
        h, memory = carry
        weights = jax.nn.softmax(jnp.einsum("...d,...sd->...s", x.astype(h.dtype), memory.value.astype(h.dtype)))
        h = jnp.tanh(h + jnp.einsum("...s,...sd->...d", weights, memory.value.astype(h.dtype)))
        return (h, memory), h.astype(jnp.result_type(params["m"], x))
