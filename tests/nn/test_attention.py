"""Attention as a module: against Flax, against itself in chunks, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from seqjax import NotCausalError, attention
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.nn import T5, MultiHeadAttention, Style
from tests.nn.extending import drawn, extend_in_chunks, vectors

X = vectors(2, 6, 8)


def make(**options):
    return drawn(MultiHeadAttention, 8, 4, **options)


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_equals_flax_by_weight_copy(kv_heads):
    """Causal and padded at once, within x and to a memory."""
    ours = make(style=Style(kv_heads=kv_heads))
    flax = nnx.MultiHeadAttention(4, 8, num_kv_heads=kv_heads, decode=False, rngs=nnx.Rngs(2))
    nnx.update(flax, _as_flax(ours))
    real = np.array([[True] * 6, [True] * 3 + [False] * 3])
    causal = attention.causal()
    found = ours(X, mask=causal & attention.padding(real))
    pairs = np.tril(np.ones((6, 6), bool)) & real[:, None, None, :]
    np.testing.assert_allclose(found, flax(X, mask=pairs), atol=1e-5)
    memory = vectors(2, 3, 8, seed=5)
    mask = attention.padding(real[:, 1:4])
    np.testing.assert_allclose(ours(X, memory, mask=mask), flax(X, memory, mask=real[:, None, None, 1:4]), atol=1e-5)


def _as_flax(ours):
    kinds = {"query": ours.query, "key": ours.key, "value": ours.value, "out": ours.out}
    return nnx.State({name: {"kernel": part.kernel, "bias": part.bias} for name, part in kinds.items()})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positions": "rotary"},
        {"positions": "alibi", "style": Style(kv_heads=1)},
        {"positions": "relative"},
        {"window": 3},
    ],
    ids=str,
)
def test_any_chunks_are_the_whole(options):
    module = make(causal=True, capacity=6, **options)
    whole = module(X)
    for sizes in [(6,), (2, 1, 3), (1, 1, 1, 1, 1, 1)]:
        carry, ys = extend_in_chunks(module, module.initial_carry((2,)), X, sizes)
        np.testing.assert_allclose(ys, whole, atol=1e-5)
        assert carry.count.tolist() == [6, 6]


def test_one_token_at_a_time_compiles_once():
    module = make(causal=True, capacity=6)
    step = jax.jit(lambda carry, x: module.extend(carry, x))
    carry = module.initial_carry((2,))
    for t in range(6):
        carry, _ = step(carry, X[:, t : t + 1])
    assert step._cache_size() == 1


def test_a_full_cache_gives_nan_and_an_error_where_it_is_known():
    module = make(causal=True, capacity=4)
    carry, ys = extend_in_chunks(module, module.initial_carry((2,)), X, (3, 3))
    assert jnp.isfinite(ys[:, :4]).all() and jnp.isnan(ys[:, 4:]).all()
    with pytest.raises(ArgumentError, match="capacity 4"):
        module.extend(module.initial_carry((2,)), X)


def test_a_query_without_keys_gives_the_bias_of_the_output():
    module = make()
    y = module(X, mask=jnp.zeros((6, 6), bool))
    np.testing.assert_array_equal(y, jnp.broadcast_to(module.out.bias[...], y.shape))


def test_dropout_is_that_of_tokens():
    """Keys of tokens, in any chunks, drop the same weights; one key is another way to say them."""
    module = make(causal=True, capacity=6, dropout=0.5)
    keys = jax.random.split(jax.random.key(3), (2, 6))
    whole = module(X, key=keys)
    np.testing.assert_array_equal(whole, module(X, key=jax.random.key(3)))
    carry, first = module.extend(module.initial_carry((2,)), X[:, :4], key=keys[:, :4])
    _, last = module.extend(carry, X[:, 4:], key=keys[:, 4:])
    np.testing.assert_allclose(jnp.concatenate([first, last], axis=1), whole, atol=1e-5)
    assert not np.allclose(whole, module(X, key=jax.random.key(4)), atol=1e-3)
    assert module.random
    module.eval()
    assert not module.random
    np.testing.assert_allclose(module(X), make(causal=True)(X), atol=1e-6)


WRONG = {
    "heads must divide features": lambda: MultiHeadAttention(8, 3, rngs=nnx.Rngs(0)),
    "kv_heads must divide heads": lambda: MultiHeadAttention(8, 4, style=Style(kv_heads=3), rngs=nnx.Rngs(0)),
    "features must be a whole number": lambda: MultiHeadAttention(8.0, 4, rngs=nnx.Rngs(0)),
    "positions is unknown, found 'rotery'. Perhaps": lambda: make(positions="rotery"),
    "are added to vectors before the first block": lambda: make(positions="learned"),
    "turn pairs of features": lambda: make(positions="rotary", style=Style(head_features=3)),
    r"dropout must be in \[0, 1\)": lambda: make(dropout=1.0),
    "window must be a whole number": lambda: make(window=0),
    "causal must be True or False": lambda: make(causal=1),
    "Write rngs=nnx.Rngs": lambda: MultiHeadAttention(8, 4, rngs=jax.random.key(0)),
    "style must be a Style": lambda: make(style="gpt2"),
    "x must be floating point": lambda: make()(jnp.ones((2, 6, 8), int)),
    r"x must be \[..., T, 8\]": lambda: make()(jnp.ones((2, 6, 7))),
    r"x must be \[..., T, 8\], found shape \(8,\)": lambda: make()(jnp.ones(8)),
    "memory must be": lambda: make()(X, X[..., :4]),
    "a memory has no order": lambda: make(positions="rotary")(X, X),
    "mask must be a bool array": lambda: make()(X, mask=jnp.ones((6, 6), int)),
    "has a bias of its own": lambda: make(positions="alibi")(X, bias=jnp.ones((6, 6))),
    "needs a key": lambda: make(dropout=0.1)(X),
    "key must be a key": lambda: make(dropout=0.1)(X, key=3),
    "one for each token": lambda: make(dropout=0.1)(X, key=jax.random.split(jax.random.key(0), 6)),
    "is not causal": lambda: make().initial_carry((2,)),
    "mask must be bool, True = a real token": lambda: _extend(mask=jnp.ones((2, 6))),
    "mask must have the shape of the tokens": lambda: _extend(mask=jnp.ones((6, 6), bool)),
    "resets must be bool": lambda: _extend(resets=jnp.ones((2, 6), int)),
}


def _extend(**options):
    module = make(causal=True)
    return module.extend(module.initial_carry((2,)), X, **options)


@pytest.mark.parametrize("message", WRONG)
def test_wrong_calls_are_named(message):
    with pytest.raises((ArgumentError, ArgumentTypeError, NotCausalError), match=message):
        WRONG[message]()


@pytest.mark.parametrize("style", [Style(), T5, Style(scale=0.5), Style(head_features=4)], ids=repr)
def test_scores_begin_alike_under_any_scale(style):
    """T5's scores are not divided by sqrt(H): with queries as long as others', it hardly learnt from scratch."""
    module = MultiHeadAttention(256, 8, style=style, rngs=nnx.Rngs(0))
    width = module.head_features
    scores = jnp.std(module.query.kernel[...]) * 16 * (width**-0.5 if style.scale is None else style.scale) * width**0.5
    np.testing.assert_allclose(scores, 1, rtol=0.02)
