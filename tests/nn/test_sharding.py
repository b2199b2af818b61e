"""A step of training over eight devices, data and tensor parallel, is that of one device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn import LLAMA, TransformerDecoder, batch_sharding, shardings
from seqjax.nn.sharding import RULES
from tests.nn.extending import drawn

TOKENS = jax.random.randint(jax.random.key(0), (4, 6), 0, 16)
OPTIMISER = optax.sgd(
    0.1, momentum=0.9
)  # Adam would divide the rounding of gradients that are 0 (biases of keys) by itself


def mesh(data, model):
    return jax.make_mesh((data, model), ("data", "model"))


@jax.jit
def train_step(model, state, tokens):
    def loss(model):
        logits = model(tokens[:, :-1])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]))

    value, gradient = jax.value_and_grad(loss)(model)
    updates, state = OPTIMISER.update(gradient, state)
    return optax.apply_updates(model, updates), state, value


@pytest.mark.parametrize(("data", "model"), [(2, 4), (4, 2)])
def test_parallel_training_equals_one_device(data, model):
    alone = drawn(TransformerDecoder, 16, 8, 4, 2, capacity=8)
    expected, _, expected_loss = train_step(alone, OPTIMISER.init(alone), TOKENS)
    places = shardings(alone, mesh(data, model))
    parallel = jax.device_put(alone, places)
    tokens = jax.device_put(TOKENS, batch_sharding(mesh(data, model)))
    found, state, loss = train_step(parallel, OPTIMISER.init(parallel), tokens)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, atol=2e-5)
    kernel = found.trunk.layers.attention.query.kernel[...]
    assert kernel.addressable_shards[0].data.shape == (2, 8, 4 // model, 2)  # heads are spread, layers are not
    assert state[0].trace.trunk.layers.feed_forward.up.kernel[...].addressable_shards[0].data.shape == (
        2,
        8,
        32 // model,
    )


def test_specs_come_from_the_names_of_axes():
    model = drawn(TransformerDecoder, 16, 8, 4, 2, capacity=8, style=LLAMA, positions="rotary")
    places = shardings(model, mesh(2, 4))
    attention, feed_forward = places.trunk.layers.attention, places.trunk.layers.feed_forward
    assert attention.query.kernel.get_value().spec == PartitionSpec(None, None, "model", None)
    assert attention.out.kernel.get_value().spec == PartitionSpec(None, "model", None, None)
    assert feed_forward.down.kernel.get_value().spec == PartitionSpec(None, "model", None)
    assert places.embedding.tokens.get_value().spec == PartitionSpec("model", None)
    assert places.head.kernel.get_value().spec == PartitionSpec(None, "model")
    assert places.trunk.norm.scale.get_value().spec == PartitionSpec(None)
    with nnx.logical_axis_rules(RULES):  # Flax reads the same names
        specs = nnx.get_partition_spec(nnx.state(model))
    assert tuple(specs["embedding"]["tokens"].get_value()) == ("model", "features")


def test_what_a_mesh_cannot_divide_is_whole():
    model = drawn(TransformerDecoder, 15, 6, 3, 1, capacity=8)
    places = shardings(model, mesh(2, 4))
    assert places.embedding.tokens.get_value().spec == PartitionSpec(None, None)
    assert places.trunk.layers.attention.query.kernel.get_value().spec == PartitionSpec(None, None, None, None)
    alone = shardings(model, jax.make_mesh((8,), ("data",)))
    assert alone.trunk.layers.feed_forward.up.kernel.get_value().spec == PartitionSpec(None, None, None)


def test_wrong_meshes_are_named():
    model = drawn(TransformerDecoder, 16, 8, 4, 1, capacity=8)
    with pytest.raises(ArgumentTypeError, match="mesh must be a mesh"):
        shardings(model, jax.devices())
    with pytest.raises(ArgumentError, match="no axis 'data'"):
        batch_sharding(jax.make_mesh((8,), ("model",)))
