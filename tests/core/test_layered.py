"""Layers in a loop, and taps of batch-major values in them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.core import taps
from seqjax.core.layered import scan_layers


class Layers(sj.Cell):
    """Two layers of y = tanh(w x) with no states, computed batch-major as a module does it."""

    out_features = None
    remat: bool = False

    def init(self, key, in_features, dtype=jnp.float32):
        return {"w": jax.random.normal(key, (2, in_features, in_features), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return ()

    def layer(self, x, w):
        return jnp.tanh(taps.tap("before", x @ w)), ()

    def run(self, params, x):
        x = taps.tap("x", x)
        return scan_layers(self.layer, x, params["w"], 2, x.ndim - 1, remat=self.remat)[0]

    def step(self, params, carry, x):
        with taps.batch_major(x.ndim - 1, step=True):
            y = self.run(params, jnp.expand_dims(x, x.ndim - 1))
        return carry, jnp.squeeze(y, y.ndim - 2)

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        return sj.parallel(functools.partial(self.all_at_once, params), carry, xs, plan)

    def all_at_once(self, params, carry, xs, mask, starts):
        with taps.batch_major(xs.ndim - 2):
            return carry, jnp.moveaxis(self.run(params, jnp.moveaxis(xs, 0, -2)), -2, 0)


class Stepwise(Layers):
    sequence = sj.Cell.sequence


@pytest.mark.parametrize("batch", [(2,), (), (2, 1)], ids=str)
def test_batch_major_taps_are_seen_probed_and_edited_as_those_of_a_step(x64, batch):
    xs = jax.random.normal(jax.random.key(1), (*batch, 3, 4))
    params = Layers().init(jax.random.key(0), 4, jnp.float64)
    add = {
        "layer/before": jax.random.normal(jax.random.key(2), (*batch, 3, 2, 4)),
        "x": lambda x: jnp.where(jnp.arange(4).reshape((1,) * (x.ndim - 1) + (4,)) == 1, 0, x),
    }
    want, (w1, w2) = xs.at[..., 1].set(0), params["w"]
    first = want @ w1 + add["layer/before"][..., 0, :]
    second = jnp.tanh(first) @ w2 + add["layer/before"][..., 1, :]
    for cell in (Layers(), Stepwise(), Layers(remat=True)):
        _, ys, seen = sj.trace(cell, params, xs, add=add)
        np.testing.assert_allclose(ys, jnp.tanh(second), atol=1e-12)
        np.testing.assert_array_equal(seen["x"], want)
        np.testing.assert_allclose(seen["layer/before"], jnp.stack([first, second], axis=-2), atol=1e-12)


def test_remat_computes_a_layer_again_in_the_backward_pass():
    xs, params = jnp.ones((8, 16, 32)), Layers().init(jax.random.key(0), 32)

    def count(cell):
        loss = lambda params: jnp.sum(sj.scan(cell, params, xs)[1])
        text = str(jax.make_jaxpr(jax.grad(loss))(params))
        return text.count("tanh")

    assert count(Layers(remat=True)) > count(Layers())
