"""Decoders, encoders, both: any chunks are the whole, single sequences are what padded and packed ones are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqjax import Held
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn import (
    BERT,
    LLAMA,
    T5,
    EncoderDecoder,
    MaskedLanguageModel,
    Style,
    TransformerDecoder,
    TransformerEncoder,
    VisionTransformer,
)  # fmt: skip
from tests.nn.extending import call, drawn, extend_in_chunks, vectors

TOKENS = jax.random.randint(jax.random.key(0), (2, 7), 0, 11)
DECODERS = [
    {},
    {"positions": "sinusoidal", "style": Style(order="post", activation="relu")},
    {"positions": "rotary", "style": LLAMA},
    {"positions": "alibi", "remat": True},
    {"positions": "relative", "style": T5},
]


def decoder(**options):
    return drawn(TransformerDecoder, 11, 8, 2, 2, **{"capacity": 8, **options})


def encoder_decoder(**options):
    return drawn(EncoderDecoder, 11, 8, 2, (2, 1), **{"capacity": 8, **options})


def packed_and_padded(model, read):
    """Two sequences of 3 and 4 tokens in one row; each alone; each with padding on the left and on the right."""
    alone = [read(model, TOKENS[:1, :3]), read(model, TOKENS[1:, :4])]
    row = jnp.concatenate([TOKENS[:1, :3], TOKENS[1:, :4]], axis=1)
    together = read(model, row, None, jnp.arange(7)[None] == 3)
    np.testing.assert_allclose(together, jnp.concatenate(alone, axis=1), atol=2e-5)
    first = jnp.arange(7) < 3
    mask = jnp.stack([first, ~first])
    ys = read(model, jnp.stack([row[0], row[0]]), mask)
    np.testing.assert_allclose(ys[0, :3], alone[0][0], atol=2e-5)
    np.testing.assert_allclose(ys[1, 3:], alone[1][0], atol=2e-5)


@pytest.mark.parametrize("options", DECODERS, ids=str)
def test_decoders(options):
    model = decoder(**options)
    whole = call(model, TOKENS)
    carry, ys = extend_in_chunks(model, model.initial_carry((2,)), TOKENS, (3, 1, 3))
    np.testing.assert_allclose(ys, whole, atol=2e-5)
    assert carry.count.tolist() == [7, 7]
    packed_and_padded(model, call)


@pytest.mark.parametrize("options", [{}, {"positions": "relative", "style": T5}], ids=str)
def test_encoders(options):
    packed_and_padded(drawn(TransformerEncoder, 11, 8, 2, 2, **options), call)


def test_a_stack_is_its_blocks_one_after_another():
    model = drawn(TransformerEncoder, None, 8, 2, 3, positions=None, style=Style())
    y = x = vectors(2, 5, 8)
    for number in range(3):
        y = call(jax.tree.map(lambda a: a[number], model.trunk.layers), y)
    np.testing.assert_allclose(call(model, x), model.trunk.norm(y), atol=1e-5)
    assert model.feature_axes == 1


@pytest.mark.parametrize(
    "options", [{}, {"positions": "sinusoidal", "style": Style(order="post", tied=False)}], ids=str
)
def test_encoder_decoder(options):
    """Teacher forcing, token by token, and each pair of sequences alone are the same."""
    model = encoder_decoder(**options)
    source, real = TOKENS[:, :5], jnp.array([[True] * 5, [True] * 3 + [False] * 2])
    run = jax.jit(lambda model, source, target, mask: model(source, target, source_mask=mask))
    whole = run(model, source, TOKENS, real)
    start = jax.jit(lambda model: model.initial_carry((2,), memory=model.encode(source, real)))
    carry = start(model)
    held = jax.tree.leaves(carry, is_leaf=lambda node: isinstance(node, Held))[-1]
    assert isinstance(held, Held) and held.value[0][0].shape == (2, 2, 5, 4)  # keys of each layer, projected once
    _, ys = extend_in_chunks(model, carry, TOKENS, (4, 1, 1, 1))
    np.testing.assert_allclose(ys, whole, atol=2e-5)
    np.testing.assert_allclose(run(model, source[1:, :3], TOKENS[1:], None), whole[1:], atol=2e-5)


def test_a_pair_of_vocabularies():
    model = drawn(EncoderDecoder, (11, 5), 8, 2, 1)
    assert jax.eval_shape(model, TOKENS, TOKENS[:, :3] % 5).shape == (2, 3, 5) == (2, 3, model.out_features)


def test_masked_language_model_is_tied_and_has_types():
    model = drawn(MaskedLanguageModel, 11, 8, 2, 1)
    run = jax.jit(lambda model, types: model(TOKENS, types=types))
    types = jnp.array([[0] * 4 + [1] * 3] * 2)
    assert not np.allclose(run(model, jnp.zeros_like(types)), run(model, types), atol=1e-4)
    shapes = [leaf.shape for leaf in jax.tree.leaves(model)]
    assert shapes.count((11, 8)) == 1 and model.out_features == 11


def test_tables_of_t5_are_there_once():
    model = encoder_decoder()
    assert model.encoder.relative.shape == model.decoder.relative.shape == (32, 2)
    assert model.encoder.layers.attention.positions.table is None
    hidden = vectors(1, 2, 8)
    expected = hidden @ model.source.tokens[...].T / 8**0.5
    np.testing.assert_allclose(model.source.logits(hidden, True), expected, atol=1e-5)


def test_vision_against_numpy_up_to_the_encoder():
    model = drawn(VisionTransformer, 3, 8, 2, 1, image=(4, 6, 2), patch=2)
    images = np.asarray(vectors(5, 4, 12)).reshape(5, 4, 6, 2)
    cut = np.stack([images[:, i : i + 2, j : j + 2].reshape(5, -1) for i in (0, 2) for j in (0, 2, 4)], axis=1)
    vectors_of_patches = cut @ np.asarray(model.patches.kernel[...]) + np.asarray(model.patches.bias[...])
    y = np.asarray(call(model.encoder, jnp.asarray(vectors_of_patches))).mean(axis=1)
    expected = y @ np.asarray(model.head.kernel[...]) + np.asarray(model.head.bias[...])
    np.testing.assert_allclose(jax.jit(lambda model: model(images))(model), expected, atol=1e-5)


WRONG = {
    "token ids must be an array of whole numbers, found float32": lambda: decoder()(jnp.ones((2, 3))),
    "token ids must be an array of whole numbers, found list": lambda: decoder()([[1, 2]]),
    r"token ids must be \[..., T\]": lambda: decoder()(jnp.array(3)),
    "from 0 to 10, found 0 to 11": lambda: decoder()(jnp.array([[0, 11]])),
    "from 0 to 10, found -1 to 0": lambda: decoder()(jnp.array([[0, -1]])),
    "9 tokens, but positions are learned for 8": lambda: decoder()(jnp.zeros((1, 9), int)),
    "do not fit in a cache of capacity 8": lambda: _overfull(),
    "positions is unknown, found 'learnt'": lambda: decoder(positions="learnt"),
    "features must be even": lambda: TransformerDecoder(11, 9, 3, 1, positions="sinusoidal", rngs=nnx.Rngs(0)),
    "layers must be a whole number": lambda: TransformerDecoder(11, 8, 2, 0, rngs=nnx.Rngs(0)),
    "vocabulary must be a whole number": lambda: TransformerDecoder("text", 8, 2, 1, rngs=nnx.Rngs(0)),
    "remat must be True or False": lambda: decoder(remat=2),
    "needs a key": lambda: decoder(dropout=0.2)(TOKENS),
    "mask must have the shape of the tokens": lambda: decoder()(TOKENS, mask=jnp.ones((7, 7), bool)),
    "TransformerEncoder: x must be floating point": lambda: _vectors_in()(TOKENS),
    "no table of them": lambda: _vectors_in()(vectors(1, 2, 8), types=jnp.zeros((1, 2), int)),
    "types must have the shape": lambda: drawn(TransformerEncoder, 11, 8, 2, 1)(TOKENS, types=TOKENS[0]),
    "types must be from 0 to 1": lambda: drawn(TransformerEncoder, 11, 8, 2, 1)(TOKENS, types=TOKENS),
    "its head has no gate": lambda: MaskedLanguageModel(11, 8, 2, 1, style=LLAMA, rngs=nnx.Rngs(0)),
    "EncoderDecoder attends to a memory": lambda: encoder_decoder().initial_carry((2,)),
    "memory must be": lambda: encoder_decoder().initial_carry((2,), memory=vectors(2, 3, 4)),
    "a number or a pair": lambda: EncoderDecoder((1, 2, 3), 8, 2, 1, rngs=nnx.Rngs(0)),
    "patch must divide": lambda: VisionTransformer(3, 8, 2, 1, image=(8, 8, 1), patch=3, rngs=nnx.Rngs(0)),
    "image must be": lambda: VisionTransformer(3, 8, 2, 1, image=8, patch=2, rngs=nnx.Rngs(0)),
    "Are channels missing": lambda: _vision()(jnp.ones((2, 4, 4))),
    "Divide bytes by 255": lambda: _vision()(jnp.ones((2, 4, 4, 1), jnp.uint8)),
}


def _overfull():
    model = decoder(positions="rotary")
    model.extend(model.initial_carry((1,)), jnp.zeros((1, 9), int))


def _vectors_in():
    return drawn(TransformerEncoder, None, 8, 2, 1, style=dataclasses.replace(BERT, token_types=0))


def _vision():
    return drawn(VisionTransformer, 3, 8, 2, 1, image=(4, 4, 1), patch=2)


@pytest.mark.parametrize("message", WRONG)
def test_wrong_calls_are_named(message):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        WRONG[message]()
