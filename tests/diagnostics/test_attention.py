"""Weights, entropy, distance and rollout of attention, against closed forms and plain NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.diagnostics import attention_distance, attention_entropy, attention_rollout, attention_weights
from tests.attending_cells import AttendingLSTM, attention, projections

LENGTHS = np.array([5, 3, 0])


class Heads(sj.Cell):
    """Attention of two heads to the steps so far, all at once, that taps its weights."""

    out_features = 4
    causal: bool = False

    def init(self, key, in_features, dtype=jnp.float32):
        return projections(key, in_features, 4, dtype, "qkv")

    def initial_carry(self, params, batch_shape=()):
        return ()

    def sequence(self, params, carry, xs, plan=sj.Plan()):
        q, k, v = (jnp.swapaxes(xs @ params[n], 0, 1).reshape(xs.shape[1], -1, 2, 2) for n in "qkv")
        real = jnp.ones(xs.shape[:2], bool) if plan.mask is None else plan.mask
        allowed = jnp.tril(jnp.ones((len(xs), len(xs)), bool))[None] & real.T[:, None, :] & real.T[:, :, None]
        weights = jax.vmap(
            lambda q, k: attention(q, k, jnp.broadcast_to(jnp.eye(len(xs)), (len(q), len(xs), len(xs))), allowed), 2, 2
        )(q, k)
        weights = sj.tap("weights", jnp.swapaxes(weights, 0, 1))
        return carry, jnp.einsum("tbns,bsnh->tbnh", weights, v).reshape(*xs.shape[:2], 4)


def weights_of(cell, lengths=None):
    params = cell.init(jax.random.key(0), 4)
    xs = jax.random.normal(jax.random.key(1), (3, 5, 4))
    return attention_weights(cell, params, xs, lengths=lengths)


def test_weights_of_all_layers_in_their_order():
    model = sj.stack(z=Heads(), rnn=sj.GRU(4), a=Heads(), deep=sj.repeat(Heads(), 3))
    found = weights_of(model, jnp.array(LENGTHS))
    assert {path: value.shape for path, value in found.items()} == {
        "z/weights": (3, 5, 2, 5), "a/weights": (3, 5, 2, 5), "deep/layer/weights": (3, 5, 3, 2, 5),
    }  # fmt: skip
    assert list(found) == ["z/weights", "a/weights", "deep/layer/weights"]
    many = sj.stack(*[Heads()] * 11)
    assert list(weights_of(many)) == [f"{i}/weights" for i in range(11)]
    real = np.arange(5) < LENGTHS[:, None]
    for value in found.values():
        np.testing.assert_allclose(
            value.sum(axis=-1),
            np.broadcast_to(real.reshape(3, 5, *[1] * (value.ndim - 3)), value.shape[:-1]),
            atol=1e-6,
        )


def test_weights_of_a_decoder_that_looks_at_a_memory():
    cell = AttendingLSTM(4)
    params = cell.init(jax.random.key(0), 4)
    carry = cell.initial_carry(params, (3,), memory=jnp.ones((3, 7, 4)))
    (value,) = attention_weights(cell, params, jnp.ones((3, 5, 4)), carry).values()
    np.testing.assert_allclose(value, np.full((3, 5, 7), 1 / 7), rtol=1e-6)  # a memory of equal vectors
    np.testing.assert_allclose(attention_entropy(value), np.full((3, 5), np.log(7)), rtol=1e-6)


def test_a_model_without_attention():
    with pytest.raises(sj.ArgumentError, match=r"has no layer with attention, as none taps 'weights'. It taps .*h"):
        weights_of(sj.GRU(4))


def test_entropy_and_distance_of_known_rows(x64):
    """One key, all keys, two keys, keys under padding, an empty row."""
    rows = np.zeros((1, 5, 2, 5))
    rows[0, 0, :, 3] = 1
    rows[0, 1] = 1 / 5
    rows[0, 2, :, [0, 4]] = [0.25], [0.75]
    rows[0, 3, :, :3] = 1 / 3
    entropy, distance = attention_entropy(rows)[0, :, 0], attention_distance(rows)[0, :, 1]
    two = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    np.testing.assert_allclose(entropy, [0, math.log(5), two, math.log(3), np.nan], rtol=1e-12)
    np.testing.assert_allclose(distance, [3, (1 + 0 + 1 + 2 + 3) / 5, 0.25 * 2 + 0.75 * 2, (3 + 2 + 1) / 3, np.nan])


def test_padding_and_repeated_layers_change_no_number(x64):
    """Rows of a shorter sequence are those of the sequence alone; layers have their own axis."""
    cell = Heads()
    params = cell.init(jax.random.key(0), 4)
    xs = jax.random.normal(jax.random.key(1), (3, 5, 4))
    (padded,) = attention_weights(cell, params, xs, lengths=jnp.array(LENGTHS)).values()
    (alone,) = attention_weights(cell, params, xs[1:2, :3]).values()
    for measure in (attention_entropy, attention_distance):
        found = measure(padded)
        np.testing.assert_allclose(found[1, :3], measure(alone)[0], rtol=1e-12)
        assert np.isnan(found[1, 3:]).all() and np.isnan(found[2]).all() and not np.isnan(found[0]).any()
        layers = np.stack([padded, padded[..., ::-1]], axis=2)
        np.testing.assert_array_equal(measure(layers)[:, :, 0], found)
        np.testing.assert_array_equal(measure(layers)[:, :, 1], measure(padded[..., ::-1]))


def test_distance_of_given_positions():
    rows = np.full((2, 2, 1, 6), 1 / 6)
    queries, keys = np.array([[4, 5], [0, 9]]), np.arange(6)
    expected = np.abs(queries[:, :, None] - keys).mean(axis=-1)
    np.testing.assert_allclose(attention_distance(rows, (queries, keys))[..., 0], expected, rtol=1e-6)
    np.testing.assert_allclose(
        attention_distance(rows, (queries[1], np.stack([keys, keys + 1])))[1, :, 0],
        np.abs(queries[1][:, None] - keys - 1).mean(axis=-1),
        rtol=1e-6,
    )
    with pytest.raises(sj.ArgumentError, match=r"positions of keys have shape \(2,\), expected \(6,\) or \(2, 6\)"):
        attention_distance(rows, (queries, queries[0]))


def test_slots_of_a_cache_counted_as_positions():
    """Three steps, and four more from the carry in a cache of twelve: the distances of all seven at once."""
    block = sj.cell_from_text("as_cell(MultiHeadAttention, 4, 2, causal=True, capacity=12)")
    params, xs = block.init(jax.random.key(0), 4), jax.random.normal(jax.random.key(1), (2, 7, 4))
    (whole,) = attention_weights(block, params, xs).values()
    carry = sj.scan(block, params, xs[:, :3])[0]
    (weights,) = attention_weights(block, params, xs[:, 3:], carry).values()
    with pytest.raises(sj.ArgumentError, match="of 4 queries and 16 keys: say where they stand"):
        attention_distance(weights)
    places = sj.attention.places(carry.count, steps=4)
    new = jnp.zeros((2, 4, carry.k.shape[-3], carry.k.shape[-1]))
    keys = sj.attention.extend(carry, new, new, places)[1]
    found = attention_distance(weights, (places.position, keys.position))
    np.testing.assert_allclose(found, attention_distance(whole)[:, 3:], atol=1e-5)


def test_rollout_is_the_product_of_the_layers(x64):
    rng = np.random.default_rng(0)
    layers = [rng.dirichlet(np.ones(4), (2, 4, 3)) for _ in range(3)]
    expected = np.eye(4)
    for layer in layers:
        expected = (0.7 * layer.mean(axis=2) + 0.3 * np.eye(4)) @ expected
    for given in (layers, [layers[0], np.stack(layers[1:], axis=2)], dict(zip("zya", layers))):
        np.testing.assert_allclose(attention_rollout(given, residual=0.3), expected, rtol=1e-12)


def test_rollouts_known_in_closed_form(x64):
    """Heads that look one step back, through L layers: binomial coefficients; alike everywhere: 1/2^L stays."""
    back = np.eye(6, k=-1)
    back[0, 0] = 1
    found = attention_rollout([back[None, :, None]] * 3)[0]
    np.testing.assert_allclose(found[5], [0, 0, 1 / 8, 3 / 8, 3 / 8, 1 / 8], rtol=1e-12)
    uniform = attention_rollout([np.full((1, 4, 2, 4), 1 / 4)] * 5)[0]
    np.testing.assert_allclose(uniform, np.eye(4) / 32 + (1 - 1 / 32) / 4, rtol=1e-12)
    padded = np.zeros((1, 2, 1, 2))
    padded[0, 0, 0, 0] = 1
    np.testing.assert_array_equal(attention_rollout([padded])[0], np.eye(2))


@pytest.mark.parametrize(
    "weights, residual, message",
    [
        ([], 0.5, "give weights of a layer"),
        ([np.ones((1, 2, 1, 2))], 1.5, "residual in 0 ... 1, found 1.5"),
        ([np.ones((1, 2, 1, 3))], 0.5, r"shape \(1, 2, 1, 3\), expected .*A memory or a cache"),
        ([np.ones((1, 2, 2))], 0.5, r"shape \(1, 2, 2\), expected \[B, T, N, T\]"),
    ],
)
def test_rollouts_that_there_are_not(weights, residual, message):
    with pytest.raises(sj.ArgumentError, match=message):
        attention_rollout(weights, residual=residual)


def test_weights_of_blocks_of_transformers():
    """Alone and in layers, between recurrent ones: causal, each row a distribution, under padding."""
    block = "as_cell(TransformerBlock, 4, 2, capacity=8)"
    found = weights_of(sj.cell_from_text(f"stack(GRU(4), {block}, LSTM(4), repeat({block}, 2))"), jnp.array(LENGTHS))
    assert {path: value.shape for path, value in found.items()} == {
        "1/attention/weights": (3, 5, 2, 5), "3/layer/attention/weights": (3, 5, 2, 2, 5),
    }  # fmt: skip
    real = np.arange(5) < LENGTHS[:, None]
    for value in found.values():
        expected = np.broadcast_to(real.reshape(3, 5, *[1] * (value.ndim - 3)), value.shape[:-1])
        np.testing.assert_allclose(value.sum(axis=-1), expected, atol=1e-6)
        steps = np.arange(5).reshape(1, 5, *[1] * (value.ndim - 2))
        assert (np.where(np.arange(5) > steps, value, 0) == 0).all()
    rollout = attention_rollout(found)
    np.testing.assert_allclose(rollout.sum(axis=-1), 1, rtol=1e-6)
    assert (np.triu(rollout, 1) == 0).all()


def test_keys_of_a_layer_that_reads_from_the_end_are_in_the_order_of_the_steps():
    block = sj.cell_from_text("as_cell(TransformerBlock, 4, 2, capacity=8)")
    both = sj.bidirectional(block)
    params, xs = both.init(jax.random.key(0), 4), jax.random.normal(jax.random.key(1), (1, 5, 4))
    found = attention_weights(both, params, xs)["backward/attention/weights"][0, :, 0]
    alone = attention_weights(block, params["backward"], xs[:, ::-1])["attention/weights"][0, :, 0]
    np.testing.assert_allclose(found, alone[::-1, ::-1], atol=1e-6)
    with pytest.raises(sj.ArgumentError, match="reverse is not for it"):
        attention_weights(block, params["backward"], xs, reverse=True)
