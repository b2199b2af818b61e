"""Attention of Flax, NNX's and Linen's: outputs, gradients, round trips, wrong calls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.interop import from_flax, to_flax
from seqjax.nn import FeedForward, MultiHeadAttention, Style

D, N, B, T = 8, 2, 3, 5


def ours(seed=1, **options):
    return MultiHeadAttention(D, N, **options, rngs=nnx.Rngs(seed))


def theirs(use_bias=True, **options):
    module = nnx.MultiHeadAttention(N, D, decode=False, use_bias=use_bias, **options, rngs=nnx.Rngs(0))
    keys = iter(jax.random.split(jax.random.key(3), 20))
    drawn = lambda p: p + 0.3 * jax.random.normal(next(keys), p.shape)  # biases too, which begin at 0
    nnx.update(module, jax.tree.map(drawn, nnx.state(module, nnx.Param)))
    return module


def data():
    x = jax.random.normal(jax.random.key(1), (B, T, D))
    mask = jax.random.bernoulli(jax.random.key(2), 0.6, (B, 1, T, T)) | jnp.eye(T, dtype=bool)[None, None]
    return x, mask


def close(found, wanted, tolerance):
    """The largest difference, relative to the largest of all values: the gradient of keys' biases is 0 but for rounding."""
    found, wanted = jax.tree.leaves(found), jax.tree.leaves(wanted)
    size = max(np.abs(yours).max() for yours in wanted)
    for mine, yours in zip(found, wanted, strict=True):
        assert mine.shape == yours.shape and np.abs(np.asarray(mine) - np.asarray(yours)).max() <= tolerance * size


@pytest.mark.parametrize("bias", [True, False])
def test_nnx(bias):
    other, (x, mask) = theirs(bias), data()
    module = from_flax(other, ours(style=Style(bias=bias)))
    close(module(x, mask=mask), other(x, mask=mask), 1e-5)
    gradient = nnx.grad(lambda m: jnp.sum(jnp.sin(m(x, mask=mask))))
    close(nnx.to_pure_dict(gradient(module)), nnx.to_pure_dict(gradient(other)), 1e-4)
    memory = jax.random.normal(jax.random.key(5), (B, 4, D))
    close(module(x, memory), other(x, memory, memory), 1e-5)


def test_nnx_there_and_back():
    other = theirs()
    back = to_flax(from_flax(other, ours()))
    empty = nnx.MultiHeadAttention(N, D, decode=False, rngs=nnx.Rngs(7))
    nnx.update(empty, back)
    wanted, found = (nnx.to_pure_dict(nnx.state(m, nnx.Param)) for m in (other, empty))
    assert jax.tree.structure(wanted) == jax.tree.structure(found)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, wanted, found)))


def test_linen():
    x, mask = data()
    module = ours()
    other = linen.MultiHeadDotProductAttention(num_heads=N)
    variables = {"params": to_flax(module)}
    close(other.apply(variables, x, mask=mask), module(x, mask=mask), 1e-5)
    drawn = other.init(jax.random.key(4), x)["params"]
    again = from_flax(drawn, ours())
    close(again(x, mask=mask), other.apply({"params": drawn}, x, mask=mask), 1e-5)
    back = to_flax(again)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, back, drawn)))


WRONG = {
    "not a module": (lambda: from_flax(theirs(), FeedForward(4, rngs=nnx.Rngs(0))), "must be a MultiHeadAttention"),
    "a list": (lambda: from_flax([1], ours()), "must be an nnx.MultiHeadAttention or its dict"),
    "a text": (lambda: from_flax({"query": {"kernel": "x"}}, ours()), r"weights\['query/kernel'\] must be an array"),
    "variables": (lambda: from_flax({"params": to_flax(ours())}, ours()), "lacks 8 tensors"),
    "normalised": (lambda: from_flax(theirs(normalize_qk=True), ours()), "no place for: key_ln"),
    "other heads": (lambda: from_flax(theirs(), MultiHeadAttention(D, 4, rngs=nnx.Rngs(0))), r"shape \(4, 2\), found"),
    "no biases": (lambda: from_flax(theirs(False), ours()), "lacks 4 tensors: key/bias"),
    "grouped": (lambda: to_flax(ours(style=Style(kv_heads=1))), "no grouped heads"),
    "window": (lambda: to_flax(ours(window=3)), "no a window"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name):
    call, message = WRONG[name]
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        call()
