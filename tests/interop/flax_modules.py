"""Flax modules as users write them, and one that obeys the protocol of `seqjax.nn`."""

import jax
import jax.numpy as jnp
from flax import linen, nnx

from seqjax import Held, tap
from tests.attending_cells import SelfAttention, WindowAttention, attention


class Windowed(nnx.Module):
    """Attention over the last steps, with dropout and (if it is told to) a memory that it attends to."""

    causal, feature_axes = True, 1
    window = 3  # so that its cache is a ring, which has room for all

    def __init__(self, in_features, features, rate=0.0, memory=0, *, rngs):
        draw = lambda n: nnx.Param(jax.random.normal(rngs.params(), (n, features)) / n**0.5)
        self.q, self.k, self.v = draw(in_features), draw(in_features), draw(in_features)
        self.out_features, self.rate, self.deterministic = features, rate, False
        self.asks = frozenset({"memory"} if memory else ())
        self.memory = draw(memory) if memory else None

    @property
    def random(self):
        return self.rate > 0 and not self.deterministic

    def initial_carry(self, batch_shape=(), *, dtype=None, memory=None):
        cache = WindowAttention(self.out_features).initial_carry({"k": self.k[...]}, batch_shape)
        return cache if memory is None else (cache, Held(memory))

    def restart(self, carry, batch_shape):
        return self.initial_carry(batch_shape), carry[1]

    def extend(self, carry, x, *, mask=None, resets=None, fresh=False, key=None):
        cache, memory = carry if self.asks else (carry, None)
        params = {name: getattr(self, name)[...] for name in "qkv"}
        first = lambda a: None if a is None else jnp.moveaxis(a, x.ndim - 2, 0)
        cache, y = WindowAttention(self.out_features).all_at_once(
            params, fresh, cache, first(x), first(mask), first(resets)
        )
        y = tap("attended", jnp.moveaxis(y, 0, -2))
        if memory is not None:
            allowed = jnp.ones((*y.shape[:-1], memory.value.shape[-2]), bool)
            y = y + attention(y, memory.value @ self.memory[...], memory.value @ self.memory[...], allowed).astype(
                y.dtype
            )
        if self.random:
            draw = lambda k: jax.random.bernoulli(k, 1 - self.rate, (self.out_features,))
            for _ in range(key.ndim):
                draw = jax.vmap(draw)
            y = jnp.where(draw(key), y / (1 - self.rate), 0)
        return (cache if memory is None else (cache, memory)), y


class Encoder(nnx.Module):
    """Attention in both directions."""

    causal, feature_axes = False, 1

    def __init__(self, in_features, features, *, rngs):
        self.q, self.k, self.v = (nnx.Param(rngs.params.normal((in_features, features))) for _ in range(3))
        self.out_features = features

    def __call__(self, x, *, mask=None, resets=None, key=None):
        params = {name: getattr(self, name)[...] for name in "qkv"}
        first = lambda a: None if a is None else jnp.moveaxis(a, x.ndim - 2, 0)
        y = SelfAttention(self.out_features).all_at_once(params, (), first(x), first(mask), first(resets))[1]
        return jnp.moveaxis(y, 0, -2)


class Perceptron(nnx.Module):
    def __init__(self, n, rate=0.0, *, rngs):
        self.layers = nnx.List([nnx.Linear(n, 6, rngs=rngs), nnx.Linear(6, n, rngs=rngs)])
        self.norm, self.drop = nnx.LayerNorm(n, rngs=rngs), nnx.Dropout(rate, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return self.drop(self.norm(x))


def cached_attention(n, heads, steps, rate=0.0, *, rngs):
    module = nnx.MultiHeadAttention(
        heads, n, decode=True, dropout_rate=rate, deterministic=False, rngs=rngs, keep_rngs=True
    )
    module.init_cache((steps, n))
    return module


class LinenAttention(linen.Module):
    heads: int
    capacity: int = 16

    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(linen.MultiHeadDotProductAttention(self.heads, decode=True)(x))


class Normed(nnx.Module):
    def __init__(self, n, *, rngs):
        self.norm = nnx.BatchNorm(n, rngs=rngs)

    def __call__(self, x):
        return self.norm(x)


class LinenNoise(linen.Module):
    features: int

    @linen.compact
    def __call__(self, x):
        return linen.Dropout(0.5)(linen.Dense(self.features)(x), deterministic=False)
