"""An encoder and a decoder as one cell, spread over eight devices inside one program: carries are made there too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax import GRU, LSTM, Dense, Dropout, Embed, bidirectional, scan, stack
from seqjax.seq2seq import EncoderDecoder, attend

READER = stack(Embed(9, 4), Dropout(0.3), bidirectional(GRU(2)))
WRITER = stack(Embed(9, 4), Dropout(0.3), LSTM(4), attend(LSTM(4), "dot", "after"), Dense(9))
MODEL = EncoderDecoder(READER, WRITER, begin=0)
RNG = np.random.default_rng(0)
BATCH = RNG.integers(0, 9, (8, 5)), np.arange(8) % 6, RNG.integers(0, 9, (8, 3))
ROWS, ALL = PartitionSpec("data"), PartitionSpec()


def loss(model, params, source, lengths, target):
    given = {"key": jax.random.key(3)} if "key" in model.asks else {}
    carry = model.initial_carry(params, source.shape[:1], source=(source, lengths), **given)
    return jnp.sum(jnp.sin(scan(model, params, target, carry, lengths=jnp.minimum(lengths, 3))[1]))


def near(found, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("model", [MODEL, MODEL.evaluation()], ids=["dropout", "evaluation"])
def test_eight_devices_are_one(model):
    params = model.init(jax.random.key(0), 0)
    step = jax.value_and_grad(lambda *args: loss(model, *args))

    def shard(*args):
        value, grads = step(*args)
        return jax.lax.psum(value, "data"), grads

    wanted = jax.jit(step)(params, *BATCH)
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
        with jax.set_mesh(mesh):
            put = lambda tree, spec: jax.device_put(tree, NamedSharding(mesh, spec))
            placed = put(params, ALL), *(put(a, ROWS) for a in BATCH)
            near(jax.jit(step)(*placed), wanted)
            if kind is AxisType.Explicit and model is not MODEL:  # with dropout each device would draw alike
                whole = jax.shard_map(shard, in_specs=(ALL, ROWS, ROWS, ROWS), out_specs=ALL)
                near(jax.jit(whole)(*placed), wanted)
