"""Cells and wrappers as users write them: what the protocol must carry, each in a few lines."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from seqjax import Cell, Embed, Gated, Wrapper, activate, linear, tap
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


class Gate(Cell):
    """A user's linear recurrence: h' = u h + (1 - u) n with u and n of the input alone."""

    features: int

    @property
    def out_features(self):
        return self.features

    def init(self, key, in_features, dtype=jnp.float32):
        return {"kernel": jax.random.normal(key, (in_features, 2 * self.features), dtype)}

    def affine(self, params, x):
        u, n = activate(linear(params, x), "sigmoid tanh")
        u, n = tap("u", u), tap("n", n)
        return u, (1 - u) * n
