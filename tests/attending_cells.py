"""Cells with attention as users write them: a window with a cache, both directions, a memory that is held."""

import functools

import jax
import jax.numpy as jnp

from seqjax import LSTM, Cell, Held, NotCausalError, tap
from seqjax.attention import empty, extend, places, poison
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


class WindowAttention(Cell):
    """Causal attention over the last `window` steps (None: all, up to `capacity`), all steps at once; its carry is a cache."""

    features: int
    window: int | None = 3
    capacity: int | None = None
    narrow = True

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        return projections(key, in_features, self.features, dtype, "qkv")

    def initial_carry(self, params, batch_shape=()):
        capacity = self.window if self.capacity is None else self.capacity
        return empty(batch_shape, capacity, 1, self.features, params["k"].dtype)  # narrow as the parameters

    def step(self, params, carry, x):
        carry, ys = self.all_at_once(params, False, carry, x[None], None, None)
        return carry, ys[0]

    def sequence(self, params, carry, xs, plan=Plan()):
        return parallel(functools.partial(self.all_at_once, params, plan.fresh), carry, xs, plan)

    def all_at_once(self, params, fresh, carry, xs, mask, starts):
        batch_major = lambda a: None if a is None else jnp.moveaxis(a, 0, carry.count.ndim)
        q, k, v = (batch_major(xs @ params[n]) for n in "qkv")
        at = places(carry.count, batch_major(mask), batch_major(starts), xs.shape[0])
        cache, keys = extend(carry, k[..., None, :], v[..., None, :], at, window=self.window, fresh=fresh)
        ago = at.position[..., :, None] - keys.position[..., None, :]
        near = (ago >= 0) if self.window is None else (ago >= 0) & (ago < self.window)
        same = at.segment[..., :, None] == keys.segment[..., None, :]
        ys = attention(q, keys.k[..., 0, :], keys.v[..., 0, :], keys.real[..., None, :] & near & same)
        ys = poison(ys, carry, at, window=self.window)
        return cache, jnp.moveaxis(ys, -2, 0).astype(jnp.result_type(params["q"], xs))


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


def memory_for(cell, features=3):
    """`make_carry` of `check_cell` for cells that read a memory of so many features."""

    def make(key, params, batch):
        memory = jax.random.normal(key, (*batch, 5, features))
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
