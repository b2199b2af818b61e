"""Carries that do not fit, none at all, too many tokens, no tokens, NaN in padding: what was a raw error or a wrong number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import NotCausalError
from seqjax.attention import padding
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn import (
    EncoderDecoder,
    MaskedLanguageModel,
    MultiHeadAttention,
    Style,
    TransformerBlock,
    TransformerDecoder,
    TransformerEncoder,
)  # fmt: skip
from tests.nn.extending import call, drawn, extend_in_chunks, vectors

X, TOKENS = vectors(2, 6, 8), jnp.array([[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]])
heads = lambda **options: drawn(MultiHeadAttention, 8, 4, causal=True, capacity=8, **options)
block = lambda **options: drawn(TransformerBlock, 8, 4, **{"capacity": 8, **options})
decoder = lambda layers=2, **options: drawn(TransformerDecoder, 11, 8, 4, layers, **{"capacity": 8, **options})
both = lambda **options: drawn(EncoderDecoder, 11, 8, 4, (1, 2), **{"capacity": 8, **options})
encoder = lambda: drawn(TransformerEncoder, 11, 8, 4, 1, capacity=8)


def carry_of(make, batch=(2,)):
    module = make()
    return module.initial_carry(batch, memory=X) if module.asks else module.initial_carry(batch)


TYPES = {
    "MultiHeadAttention: carry must be .* Cache, found NoneType": lambda: heads().extend(None, X),
    "TransformerBlock: carry must be .* Cache, found NoneType": lambda: block().extend(None, X),
    "TransformerBlock: the memory in the carry must be keys, values and mask": lambda: block(cross=True).extend(
        (carry_of(block), carry_of(both)[1]), X
    ),
    "a pair of Cache and Held, found Cache": lambda: block(cross=True).extend(carry_of(block), X),
    "TransformerDecoder: carry must be .* DecoderCarry, found NoneType": lambda: decoder().extend(None, TOKENS),
    "DecoderCarry, found a tuple of DecoderCarry, Held": lambda: decoder().extend(carry_of(both), TOKENS),
    "TransformerBlock: carry must be .* a pair of Cache and Held, found NoneType": lambda: block(cross=True).restart(
        None, (2,)
    ),
    "EncoderDecoder: carry must be .* a pair of DecoderCarry and Held, found int": lambda: both().restart(3, (2,)),
    "a pair of DecoderCarry and Held, found DecoderCarry": lambda: both().extend(carry_of(decoder), TOKENS),
    "TransformerDecoder': batch_shape must be a tuple, found 2": lambda: decoder().initial_carry(2),
    "EncoderDecoder': batch_shape must be a tuple, found 2": lambda: both().initial_carry(2, memory=X),
    "MultiHeadAttention': batch_shape must be a tuple": lambda: heads().initial_carry(2),
    "source_mask must be bool": lambda: both()(TOKENS, TOKENS, source_mask=jnp.ones((2, 6))),
    "token ids of the source must be an array of whole numbers": lambda: both()(TOKENS * 1.0, TOKENS),
    "final_norm must be True or False, found 'yes'": lambda: Style(final_norm="yes"),
}
VALUES = {
    r"\[2, 4, ..., 2\], found \[3, 4, 8, 2\]. It is of another batch": lambda: heads().extend(carry_of(heads, (3,)), X),
    r"\[2, 4, ..., 2\], found \[2, 2, 8, 2\]. It is of another module": lambda: heads().extend(
        heads(style=Style(kv_heads=2)).initial_carry((2,)), X
    ),
    r"TransformerDecoder: the carry must have keys \[2, 4, ..., 2\], found \[3, 4, 8, 2\]. It is of another batch": lambda: (
        decoder().extend(carry_of(decoder, (3,)), TOKENS)
    ),
    "the carry must be of 2 layers, found 3. It is of another module": lambda: decoder().extend(
        carry_of(lambda: decoder(3)), TOKENS
    ),
    "the memory in the carry must be of 2 layers, found 1": lambda: both().extend(
        (carry_of(both)[0], carry_of(lambda: drawn(EncoderDecoder, 11, 8, 4, 1, capacity=8))[1]), TOKENS
    ),
    r"the memory in the carry must have keys \[1, 4, ..., 2\], found \[2, 4, 6, 2\]": lambda: both().extend(
        (both().initial_carry((1,), memory=X[:1])[0], carry_of(both)[1]), TOKENS[:1]
    ),
    r"memory \(3, 6, 8\) is of the batch \(3,\), expected \(2,\)": lambda: block(cross=True)(X, vectors(3, 6, 8)),
    r"memory \(2, 6, 8\) is of the batch \(2,\), expected \(3,\)": lambda: both().initial_carry((3,), memory=X),
    r"memory \(3, 6, 8\) is of another batch than x \(2, 6, 8\)": lambda: drawn(MultiHeadAttention, 8, 4)(
        X, vectors(3, 6, 8)
    ),
    r"of one batch, found \(1, 6\) and \(2, 6\)": lambda: both()(TOKENS[:1], TOKENS),
    "source_mask must have the shape": lambda: both()(TOKENS, TOKENS, source_mask=jnp.ones((2, 5), bool)),
    r"may be \[T, S\], flags of pairs, or": lambda: heads()(vectors(6, 6, 8), mask=jnp.ones((6, 6), bool)),
    "9 tokens, but positions are learned for 8": lambda: decoder()(jnp.zeros((2, 9), int), mask=jnp.ones((2, 9), bool)),
    "window must be a whole number of at least 1, found 0": lambda: Style(window=0),
    "scale must be above 0 and finite, found inf": lambda: Style(scale=float("inf")),
}


@pytest.mark.parametrize("message", TYPES)
def test_wrong_types_were_raw_errors(message):
    with pytest.raises(ArgumentTypeError, match=message):
        TYPES[message]()


@pytest.mark.parametrize("message", VALUES)
def test_wrong_values_were_raw_errors_or_passed(message):
    with pytest.raises(ArgumentError, match=message):
        VALUES[message]()


@pytest.mark.parametrize("make", [encoder, lambda: drawn(MaskedLanguageModel, 11, 8, 4, 1)], ids=["encoder", "BERT"])
def test_an_encoder_had_no_extend(make):
    for wrong in (lambda: make().extend(None, TOKENS), lambda: make().initial_carry((2,))):
        with pytest.raises(NotCausalError, match="sees both directions.*call it with the whole sequence"):
            wrong()


def test_no_tokens_were_refused():
    """A chunk of none: no outputs, the carry as it was."""
    for module, x in ((heads(), X), (decoder(1), TOKENS)):
        carry = module.initial_carry((2,))
        after, ys = module.extend(carry, x[:, :0], mask=jnp.ones((2, 0), bool))
        assert ys.shape == (2, 0, module.out_features)
        for found, wanted in zip(jax.tree.leaves(after), jax.tree.leaves(carry)):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("make", "positions"), [(decoder, "learned"), (both, "rotary")], ids=["decoder", "both"])
def test_tokens_without_room_made_those_before_them_nan(make, positions):
    """Several layers, six tokens of which four find room: these are right, and so is the gradient of what they give."""
    module = make(positions=positions, capacity=4)
    carry = module.initial_carry((2,), memory=X[:, :3]) if module.asks else module.initial_carry((2,))

    @jax.jit
    def run(module, carry, mask):
        loss = lambda module: jnp.sum((module.extend(carry, TOKENS, mask=mask)[1][:, :4]) ** 2)
        return module.extend(carry, TOKENS, mask=mask)[1], jax.grad(loss)(module)

    ys, gradient = run(module, carry, jnp.ones((2, 6), bool))
    assert np.isnan(ys[:, 4:]).all()
    np.testing.assert_allclose(ys[:, :4], module.extend(carry, TOKENS[:, :4])[1], atol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_token_beyond_the_learned_positions_made_those_before_it_nan():
    module = decoder(capacity=4)
    ys = call(module, TOKENS, jnp.ones((2, 6), bool))
    assert np.isnan(ys[:, 4:]).all()
    np.testing.assert_allclose(ys[:, :4], module(TOKENS[:, :4]), atol=1e-5)
    rows = call(
        drawn(TransformerEncoder, 11, 8, 4, 1, capacity=4), TOKENS, jnp.array([[True] * 6, [True] * 4 + [False] * 2])
    )
    assert np.isnan(rows[0]).all() and np.isfinite(rows[1]).all()  # in an encoder all see it


def test_nan_in_padding_reached_outputs_and_gradients_of_attention():
    """Within x and from x to a memory; in any call of `extend`."""
    real = np.array([[True] * 6, [True, False, True, True, False, False]])
    dirty = jnp.where(real[..., None], X, jnp.nan)
    within = heads()
    np.testing.assert_array_equal(*(within(x, mask=padding(real))[real] for x in (X, dirty)))
    extend = lambda module, x: module.extend(module.initial_carry((2,)), x, mask=real)[1]
    to_memory = lambda module, memory: module(X, memory, mask=padding(real))
    for read, module in ((extend, within), (to_memory, drawn(MultiHeadAttention, 8, 4))):
        run = jax.jit(jax.value_and_grad(lambda module, x, read=read: jnp.sum(read(module, x) ** 2)))
        for found, wanted in zip(jax.tree.leaves(run(module, dirty)), jax.tree.leaves(run(module, X))):
            np.testing.assert_array_equal(found, wanted)


def test_a_window_in_the_style_is_that_of_all_layers():
    """Against blocks with the window; any chunks; far beyond what fits."""
    module = decoder(positions="rotary", capacity=4, style=Style(window=3))
    assert [kept.at.shape for kept in module.initial_carry((2,)).layers] == [(2, 3), (2, 3)]
    whole = call(module, TOKENS)
    _, ys = extend_in_chunks(module, module.initial_carry((2,)), TOKENS, (4, 1, 1))
    np.testing.assert_allclose(ys, whole, atol=2e-5)
    changed = call(module, TOKENS.at[:, 0].set(9))  # two layers of a window of 3 see four tokens back
    np.testing.assert_allclose(changed[:, 5], whole[:, 5], atol=1e-5)
    assert np.abs(changed[:, 4] - whole[:, 4]).max() > 1e-3
