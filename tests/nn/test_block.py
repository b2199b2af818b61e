"""Blocks: any chunks are the whole; padding on either side and packing change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqjax import NotCausalError
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn import LLAMA, T5_GATED, FeedForward, Memory, Style, TransformerBlock
from tests.nn.extending import call, drawn, extend_in_chunks, vectors

X = vectors(2, 7, 8)
STYLES = [
    {},
    {"style": Style(order="post", activation="relu"), "positions": "relative"},
    {"style": LLAMA, "positions": "rotary", "window": 3},
    {"style": T5_GATED, "positions": "alibi"},
]


def make(**options):
    return drawn(TransformerBlock, 8, 2, **{"capacity": 8, **options})


@pytest.mark.parametrize("options", STYLES, ids=str)
def test_any_chunks_are_the_whole_when_padded_and_packed(options):
    """Twenty rows with flags at random: unreal tokens anywhere, resets anywhere."""
    block, x = make(**options), vectors(20, 7, 8)
    flags = np.random.default_rng(0).random((2, 20, 7))
    mask, resets = jnp.asarray(flags[0] > 0.3), jnp.asarray(flags[1] > 0.7)
    whole = call(block, x, mask, resets)
    for sizes in [(3, 1, 3), (1,) * 7]:
        _, ys = extend_in_chunks(block, block.initial_carry((20,)), x, sizes, mask, resets)
        np.testing.assert_allclose(ys[mask], whole[mask], atol=5e-5)


@pytest.mark.parametrize("options", [*STYLES, {"causal": False, "positions": "relative"}], ids=str)
def test_padding_and_packing_give_what_single_sequences_give(options):
    block = make(**options)
    alone = [call(block, X[:1, :3]), call(block, X[1:, :4])]
    resets = jnp.arange(7)[None] == 3
    packed = call(block, jnp.concatenate([X[:1, :3], X[1:, :4]], axis=1), None, resets)
    np.testing.assert_allclose(packed, jnp.concatenate(alone, axis=1), atol=2e-5)
    for left in (0, 3):
        rows = jnp.stack([jnp.pad(X[0, :4], ((left, 3 - left), (0, 0)), constant_values=jnp.nan), X[1]])
        mask = jnp.stack([(jnp.arange(7) >= left) & (jnp.arange(7) < left + 4), jnp.ones(7, bool)])
        ys = call(block, rows, mask)
        np.testing.assert_allclose(ys[0, left : left + 4], call(block, X[:1, :4])[0], atol=2e-5)
        np.testing.assert_allclose(ys[1], call(block, X[1:])[0], atol=2e-5)


def test_a_memory_is_read_without_its_padding():
    block = make(cross=True)
    memory = vectors(2, 5, 8, seed=1)
    real = jnp.array([[True] * 5, [True] * 3 + [False] * 2])
    read = jax.jit(lambda block, x, memory: block(x, memory))
    whole = read(block, X, Memory(memory, real))
    np.testing.assert_allclose(whole[1:], read(block, X[1:], memory[1:, :3]), atol=1e-5)
    carry = block.initial_carry((2,), memory=Memory(memory, real))
    _, ys = extend_in_chunks(block, carry, X, (4, 1, 2))
    np.testing.assert_allclose(ys, whole, atol=1e-5)
    assert block.asks == {"memory"} and make().asks == frozenset()


def test_dropout_is_a_function_of_the_keys_of_tokens():
    block = make(dropout=0.3)
    keys = jax.random.split(jax.random.key(1), (2, 7))

    @jax.jit
    def both_ways(block):
        carry, first = block.extend(block.initial_carry((2,)), X[:, :3], key=keys[:, :3])
        return block(X, key=keys), first, block.extend(carry, X[:, 3:], key=keys[:, 3:])[1]

    whole, first, last = both_ways(block)
    np.testing.assert_allclose(jnp.concatenate([first, last], axis=1), whole, atol=1e-5)
    block.eval()
    np.testing.assert_allclose(call(block, X), call(make(), X), atol=1e-6)


def test_feed_forward_against_numpy():
    module = drawn(FeedForward, 4, style=Style(activation="swiglu", hidden=6, bias=False))
    x = np.asarray(vectors(2, 3, 4))
    gate, up = (x @ np.asarray(part.kernel[...]) for part in (module.gate, module.up))
    expected = (gate / (1 + np.exp(-gate)) * up) @ np.asarray(module.down.kernel[...])
    np.testing.assert_allclose(module(x), expected, atol=1e-5)


WRONG = {
    "attends to a memory, but was given none": lambda: make(cross=True)(X),
    "TransformerBlock attends to a memory, but": lambda: make(cross=True).initial_carry((2,)),
    "was given a memory, but reads none": lambda: make()(X, X),
    "memory must be": lambda: make(cross=True)(X, X[..., :4]),
    "memory.mask must be bool": lambda: make(cross=True)(X, Memory(X, jnp.ones((2, 7)))),
    "is not causal": lambda: make(causal=False).extend(None, X),
    "is not causal, so": lambda: make(causal=False).initial_carry((2,)),
    "cross must be True or False": lambda: make(cross=None),
    "order is unknown, found 'Pre'. Perhaps you meant 'pre'": lambda: Style(order="Pre"),
    "norm is unknown": lambda: Style(norm="batch"),
    "activation is unknown, found 'gelu_new'": lambda: Style(activation="gelu_new"),
    "epsilon must be above 0": lambda: Style(epsilon=0.0),
    "hidden must be a whole number": lambda: Style(hidden=2.5),
    "bias must be True or False": lambda: Style(bias=1),
    "Which pairs may attend": lambda: make()(X, mask=jnp.ones((7, 7), bool)),
    "Token ids": lambda: make()(jnp.ones((2, 7), int)),
    r"\[..., T, 8\], found shape \(7, 2\)": lambda: make()(X[0, :, :2]),
    "must be an array, found list": lambda: make()([[1.0] * 8]),
    "for which it needs a key": lambda: make(dropout=0.1)(X),
    "dropout must be a number": lambda: FeedForward(8, dropout="0.1", rngs=nnx.Rngs(0)),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_calls_are_named(message):
    with pytest.raises((ArgumentError, ArgumentTypeError, NotCausalError), match=message):
        WRONG[message]()
