"""Cells as users write them: what the protocol must carry, each in a few lines."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax import LSTM, Cell, Embed, Gated, Held, NotCausalError, Wrapper, activate, linear, tap
from seqjax.core.loop import parallel
from seqjax.core.plan import Plan


def tokens(key, shape):
    return jax.random.randint(key, shape, 0, 5)


def mixed_tree(key, shape):
    a, b = jax.random.split(key)
    return {"token": tokens(a, shape), "value": jax.random.normal(b, (*shape, 2))}


class MGU(Gated):
    """A user's cell in the three-part form: minimal gated unit (Zhou et al. 2016), reset after."""

    gates = ("f", "n")

    def update(self, p, h, z, m):
        f = activate(z[..., : self.features] + m[..., : self.features], "sigmoid")[0]
        n = jnp.tanh(z[..., self.features :] + f * m[..., self.features :])
        h = (1 - f) * h + f * n
        return h, h


class Peephole(Gated):
    """A user's cell with small parameters of its own in `update`."""

    gates = ("f", "n")

    def init(self, key, in_features, dtype=jnp.float32):
        return super().init(key, in_features, dtype) | {"update": {"peep": jnp.ones(self.features, dtype)}}

    def update(self, p, h, z, m):
        f, n = jnp.split(z + m, 2, axis=-1)
        f = jax.nn.sigmoid(f + jnp.broadcast_to(p["peep"].astype(h.dtype), h.shape) * h)
        h = f * h + (1 - f) * jnp.tanh(n)
        return h, h


class TreeCell(Cell):
    """A user's cell with a step alone, tree inputs, and a clock that is no float."""

    feature_axes = {"token": 0, "value": 1}
    features: int

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        a, b, c = jax.random.split(key, 3)
        shape = (self.features, self.features)
        return {
            "table": jax.random.normal(a, (5, self.features), dtype),
            "in": jax.random.normal(b, (2, self.features), dtype),
            "mix": {"kernel": 0.3 * jax.random.normal(c, shape, dtype)},
        }

    def initial_carry(self, params, batch_shape=()):
        dtype = jnp.promote_types(params["in"].dtype, jnp.float32)
        return {"h": jnp.zeros((*batch_shape, self.features), dtype), "t": jnp.zeros(batch_shape, jnp.int32)}

    def step(self, params, carry, x):
        z = x["value"] @ params["in"]
        z = z + Embed(5, self.features).apply(params, x["token"]).astype(z.dtype)
        h = jnp.tanh(z + linear(params["mix"], carry["h"], keep=True))
        phase = jnp.cos(carry["t"].astype(h.dtype))[..., None]
        y = h * jnp.broadcast_to(phase, h.shape)
        after = {"h": h.astype(carry["h"].dtype), "t": carry["t"] + 1}
        return after, y.astype(jnp.result_type(params["in"], x["value"]))


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


class LRU(Cell):
    """Linear recurrent unit (Orvieto et al. 2023): a complex diagonal recurrence, by an associative scan."""

    features: int

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        a, b, c = jax.random.split(key, 3)
        wide = jnp.promote_types(dtype, jnp.complex64)
        return {
            "decay": 0.3 * jax.random.normal(a, (self.features,), wide),
            "in": jax.random.normal(b, (in_features, self.features), wide),
            "out": jax.random.normal(c, (self.features, self.features), wide),
        }

    def initial_carry(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.features), jnp.promote_types(params["in"].dtype, jnp.complex64))

    def factor(self, params):
        return jnp.exp(-jnp.exp(params["decay"].real) + 1j * params["decay"].imag)

    def read(self, params, h, x):
        return (h @ params["out"]).real.astype(jnp.finfo(jnp.result_type(params["in"], x)).dtype)

    def step(self, params, carry, x):
        h = jnp.broadcast_to(self.factor(params), carry.shape) * carry + x @ params["in"]
        return h, self.read(params, h, x)

    def sequence(self, params, carry, xs, plan=Plan()):
        return parallel(functools.partial(self.all_at_once, params), carry, xs, plan)

    def all_at_once(self, params, carry, xs, mask, starts):
        b = xs @ params["in"]
        a = jnp.broadcast_to(self.factor(params), b.shape)
        if starts is not None:
            a = jnp.where(starts[..., None], 0, a)
        if mask is not None:
            a, b = jnp.where(mask[..., None], a, 1), jnp.where(mask[..., None], b, 0)
        b = jnp.concatenate([(b[0] + a[0] * carry)[None], b[1:]])
        h = jax.lax.associative_scan(lambda p, q: (p[0] * q[0], p[1] * q[0] + q[1]), (a, b))[1]
        return h[-1], self.read(params, h, xs)


class DelayLine(Cell):
    """The input of `steps` steps ago: the size of the carry is that of the input."""

    steps: int
    asks = frozenset({"in_features"})

    @property
    def out_features(self):
        return None

    def init(self, key, in_features, dtype=jnp.float32):
        return {}

    def initial_carry(self, params, batch_shape=(), *, in_features):
        return jnp.zeros((*batch_shape, self.steps, in_features))

    def restart(self, params, carry, batch_shape):
        return jnp.zeros_like(carry)

    def step(self, params, carry, x):
        line = jnp.concatenate([carry, x[..., None, :].astype(carry.dtype)], axis=-2)
        return line[..., 1:, :], line[..., 0, :].astype(x.dtype)


class Skip(Wrapper):
    """A dense skip: the input beside the output, so that the size depends on what comes in."""

    @property
    def out_features(self):
        return None

    def size(self, in_features):
        return in_features + self.cell.size(in_features)

    def step(self, params, carry, x):
        carry, y = self.cell.step(params, carry, x)
        return carry, jnp.concatenate([x.astype(y.dtype), y], axis=-1)


class ZoneoutCarry(NamedTuple):
    inner: object
    key: jax.Array
    draws: jax.Array


class Zoneout(Wrapper):
    """Keep each unit of the state with probability `rate` (Krueger et al. 2017)."""

    rate: float

    @property
    def asks(self):
        return super().asks | {"key"}

    def initial_carry(self, params, batch_shape=(), *, key, **given):
        inner = super().initial_carry(params, batch_shape, key=key, **given)
        return ZoneoutCarry(inner, jax.random.split(key, batch_shape), jnp.zeros(batch_shape, int))

    def restart(self, params, carry, batch_shape):
        return carry._replace(inner=super().restart(params, carry.inner, batch_shape))

    def step(self, params, carry, x):
        inner, y = self.cell.step(params, carry.inner, x)
        draw = lambda key, n: jax.random.bernoulli(jax.random.fold_in(key, n), self.rate, (self.cell.out_features,))
        for _ in range(carry.draws.ndim):
            draw = jax.vmap(draw)
        keep = draw(carry.key, carry.draws)
        inner = jax.tree.map(lambda old, new: jnp.where(keep, old, new.astype(old.dtype)), carry.inner, inner)
        return ZoneoutCarry(inner, carry.key, carry.draws + 1), y
