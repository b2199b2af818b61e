"""The one table of cells and stacks over which the law is shown."""

import jax
import jax.numpy as jnp

from seqjax import (
    GRU,
    LSTM,
    RNN,
    Cell,
    Dense,
    Dropout,
    Embed,
    Gated,
    Norm,
    bidirectional,
    gates,
    linear,
    residual,
    stack,
)
from seqjax.initializers import chrono, identity


def tokens(key, shape):
    return jax.random.randint(key, shape, 0, 5)


def mixed_tree(key, shape):
    a, b = jax.random.split(key)
    return {"token": tokens(a, shape), "value": jax.random.normal(b, (*shape, 2))}


class MGU(Gated):
    """A user's cell in the three-part form: minimal gated unit (Zhou et al. 2016), reset after."""

    gates = ("f", "n")

    def update(self, p, h, z, m):
        f = gates(z[..., : self.features] + m[..., : self.features], "sigmoid")[0]
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


TABLE = [
    (RNN(4), None),
    (RNN(3, activation="relu", recurrent_init=identity()), None),
    (RNN(3, activation="identity"), None),
    (LSTM(4), None),
    (LSTM(3, bias_init=chrono(20), learned_carry=True), None),
    (GRU(4), None),
    (GRU(3, reset_after=False), None),
    (GRU(3, learned_carry=True), None),
    (Dense(2, activation="gelu"), None),
    (Embed(5, 3), tokens),
    (Norm(), None),
    (Norm("rms"), None),
    (Dropout(0.4), None),
    (Dropout(0.4, per="sequence"), None),
    (MGU(3), None),
    (Peephole(3), None),
    (TreeCell(3), mixed_tree),
    (stack(RNN(3), LSTM(3), GRU(3)), None),
    (stack(Embed(5, 3), Dropout(0.3), LSTM(3), residual(stack(Norm("rms"), GRU(3))), Dense(2)), tokens),
    (stack(GRU(3, reset_after=False), Dropout(0.3, per="sequence"), Dense(2)), None),
    (residual(LSTM(3)), None),
    (bidirectional(LSTM(3)), None),
    (bidirectional(GRU(3, learned_carry=True), merge="product"), None),
    (bidirectional(RNN(3), merge="pair"), None),
    (stack(bidirectional(RNN(2), merge="mean"), GRU(3), bidirectional(RNN(2), merge="sum")), None),
]
