"""What a trace sees of modules, and may change: weights of attention, by layer and head."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import seqjax as sj
from seqjax.interop import as_cell
from seqjax.nn import Style, TransformerBlock, TransformerDecoder, TransformerEncoder
from tests.nn.extending import vectors

TOKENS = jax.random.randint(jax.random.key(0), (2, 5), 0, 11)


def test_weights_of_a_decoder_by_layer_and_head():
    cell = as_cell(TransformerDecoder, 11, 8, 2, 3, capacity=8)
    params = cell.init(jax.random.key(0), 0)
    _, ys, seen = sj.trace(cell, params, TOKENS)
    weights = next(value for path, value in seen.items() if path.endswith("layer/attention/weights"))
    assert weights.shape == (2, 5, 3, 2, 5)  # [B, T, L, N, S]
    np.testing.assert_allclose(jnp.sum(weights, axis=-1), 1, atol=1e-5)
    assert not np.triu(np.asarray(weights[0, :, 0, 0]), 1).any()  # nothing of what comes later
    np.testing.assert_allclose(ys, sj.scan(cell, params, TOKENS)[1], atol=1e-5)


def test_a_traced_encoder_sees_both_directions():
    cell = as_cell(TransformerEncoder, None, 8, 2, 1, positions=None)
    params = cell.init(jax.random.key(0), 8)
    _, _, seen = sj.trace(cell, params, vectors(2, 5, 8))
    weights = next(value for path, value in seen.items() if path.endswith("layer/attention/weights"))
    assert (np.asarray(weights) > 0).all()


@pytest.mark.parametrize("kv_heads", [2, 1])
def test_weights_that_are_changed_change_the_output(kv_heads):
    """With all weight on the first token, each step is given its value alone."""
    cell = as_cell(TransformerBlock, 8, 2, capacity=8, style=Style(kv_heads=kv_heads))
    params, x = cell.init(jax.random.key(0), 8), vectors(1, 5, 8)
    first = lambda weights: jnp.zeros_like(weights).at[..., 0].set(1.0)
    path = next(path for path in sj.trace(cell, params, x)[2] if path.endswith("attention/weights"))
    _, ys, _ = sj.trace(cell, params, x, add={path: first})
    block = TransformerBlock(8, 2, capacity=8, style=Style(kv_heads=kv_heads), rngs=nnx.Rngs(0))
    nnx.update(block, params)
    value = jnp.repeat(block.attention.value(block.attention_norm(x))[:, :1], 2 // kv_heads, axis=2)
    y = x + block.attention.out(jnp.broadcast_to(value, (1, 5, 2, 4)))
    np.testing.assert_allclose(ys, y + block.feed_forward(block.feed_forward_norm(y)), atol=1e-5)
