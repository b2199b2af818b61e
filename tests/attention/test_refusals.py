"""Wrong calls of positions, biases, caches and scores: each error names the argument and what was found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import attention as at
from seqjax.errors import ArgumentError, ArgumentTypeError

KEY, X = jax.random.key(0), jnp.ones((2, 5, 1, 4))
CACHE, COUNT = at.empty((2,), 4, 1, 4), jnp.zeros(2, jnp.int32)
THREE = at.places(COUNT, steps=3)
POSITIONS = np.arange(5)
ADDITIVE = at.init_score("additive", KEY, 3, 4)
LOCATION = at.init_score("location", KEY, 3, 4)
Q, K, FLAGS = jnp.ones((2, 3)), jnp.ones((2, 5, 4)), jnp.ones((2, 5), bool)
extend = lambda x, places=THREE, **options: at.extend(CACHE, x, x, places, **options)
even = {**LOCATION, "filter": jnp.ones((4, 10))}

TYPES = [
    ("positions must be an integer array, found float", lambda: at.rotary(X, POSITIONS / 2)),
    ("positions must be an integer array, found list", lambda: at.sinusoidal([0, 1], 4)),
    ("x must be a floating point array, found list", lambda: at.rotary([1.0], POSITIONS)),
    ("table must be a floating point array, found list", lambda: at.learned([[1.0]], POSITIONS)),
    ("features must be a whole number, found 4.0", lambda: at.sinusoidal(POSITIONS, 4.0)),
    ("scaling must be a number, found 'linear'", lambda: at.rotary(X, POSITIONS, scaling="linear")),
    ("heads must be a whole number, found 2.5", lambda: at.alibi(2.5)),
    ("k_positions must be an integer array", lambda: at.alibi(1).scores(X, POSITIONS, POSITIONS * 1.0)),
    ("table must be a floating point array, found int", lambda: at.relative(np.ones((8, 2), int))),
    ("table must be a floating point array, found list", lambda: at.shaw([[1.0]])),
    ("bidirectional must be True or False, found 1", lambda: at.relative(jnp.ones((8, 2)), bidirectional=1)),
    ("batch_shape must be a tuple, found 4", lambda: at.empty(4, 8, 1, 2)),
    ("dtype must be floating point", lambda: at.empty((2,), 8, 1, 2, jnp.int32)),
    ("capacity must be a whole number, found None", lambda: at.empty((2,), None, 1, 2)),
    ("count must be an integer array", lambda: at.places(jnp.zeros(2), steps=3)),
    ("mask must be a bool array, found int32", lambda: at.places(COUNT, jnp.ones((2, 3), jnp.int32))),
    ("mask must be a bool array, .*Lengths are no mask", lambda: at.places(COUNT, np.array([1, 3]))),
    ("resets must be a bool array, found float32", lambda: at.places(COUNT, None, jnp.ones((2, 3)))),
    ("cache must be one of `empty`, found tuple", lambda: at.extend((X, X), X, X, THREE)),
    ("places must be what `places` returns", lambda: extend(X, POSITIONS)),
    ("k must be floating point, found int32", lambda: extend(jnp.ones((2, 3, 1, 4), jnp.int32))),
    ("window must be a whole number, found 2.0", lambda: extend(X[:, :3], window=2.0)),
    ("keys must be a floating point array, found int32", lambda: at.dot(Q, K.astype(jnp.int32))),
    (
        "real must be an array of bool, True = there is a key, found float32",
        lambda: at.attend(FLAGS * 1.0, K, FLAGS * 1.0),
    ),
    ("scores must be an array of floating point, found bool", lambda: at.attend(FLAGS, K)),
    ("previous must be an array of floating point, found bool", lambda: at.monotonic(FLAGS * 1.0, FLAGS)),
    ("hard must be True or False", lambda: at.monotonic(FLAGS * 1.0, FLAGS * 1.0, hard="yes")),
    ("projected must be True or False", lambda: at.additive(ADDITIVE, Q, K, projected=None)),
    ("key must be one key", lambda: at.init_score("additive", 0, 3, 4)),
]
VALUES = [
    ("the head width H of x must be even, .* found 3", lambda: at.rotary(X[..., :3], POSITIONS)),
    ("features must be even, .* found 5", lambda: at.sinusoidal(POSITIONS, 5)),
    (r"positions must have .*found \(4,\) for x \(2, 5, 1, 4\)", lambda: at.rotary(X, POSITIONS[:4])),
    (r"positions must have .*heads after time", lambda: at.rotary(X.swapaxes(1, 2), POSITIONS)),
    ("base must be above 0, found -1.0", lambda: at.rotary(X, POSITIONS, base=-1)),
    ("scaling must be above 0, found 0.0", lambda: at.rotary(X, POSITIONS, scaling=0.0)),
    (r"table must be \[positions, features\], found the shape \(3,\)", lambda: at.learned(jnp.ones(3), POSITIONS)),
    ("heads must be a whole number of at least 1, found 0", lambda: at.alibi(0)),
    ("length must be 0 or more, found -1", lambda: at.prefix(-1)),
    ("length must be 0 or more, found -2", lambda: at.prefix(np.array([3, -2], np.int8))),
    ("table must be .buckets, heads., found the shape", lambda: at.relative(jnp.ones(8))),
    ("an even number of 4 or more buckets .* found 7", lambda: at.relative(jnp.ones((7, 2)))),
    ("2 or more buckets .* found 1", lambda: at.relative(jnp.ones((1, 2)), bidirectional=False)),
    ("max_distance must be above 8, .* found 8", lambda: at.relative(jnp.ones((32, 2)), max_distance=8)),
    (r"table must have an odd number of rows, .* \(4, 4\)", lambda: at.shaw(jnp.ones((4, 4)))),
    ("as many columns as a head has features", lambda: at.shaw(jnp.ones((5, 3))).scores(X, POSITIONS, POSITIONS)),
    ("capacity must be a whole number of at least 1, found 0", lambda: at.empty((2,), 0, 1, 2)),
    ("kv_heads must be a whole number of at least 1, found 0", lambda: at.empty((2,), 8, 0, 2)),
    ("steps must be given", lambda: at.places(COUNT)),
    (
        r"mask must have the shape \(2, 3\), .* found \(3, 2\)",
        lambda: at.places(COUNT, jnp.ones((3, 2), bool), steps=3),
    ),
    (r"k must have the shape \(2, 3, 1, 4\), .* found \(2, 5, 1, 4\)", lambda: extend(X)),
    ("k must have .* Heads come after time", lambda: extend(X[:, :3].swapaxes(1, 2))),
    ("a window of 5 tokens needs as many slots, .* capacity 4", lambda: extend(X[:, :3], window=5)),
    ("5 tokens do not fit in a cache of capacity 4", lambda: extend(X, at.places(COUNT, steps=5))),
    ("6 tokens do not fit in a cache of capacity 4", lambda: extend(X[:, :3], at.places(COUNT + 3, steps=3))),
    ("there is no score 'aditive'.* 'additive'", lambda: at.init_score("aditive", KEY, 3, 4)),
    ("dot needs as many features of queries as of keys", lambda: at.init_score("dot", KEY, 3, 4)),
    ("width must be odd, .* found 4", lambda: at.init_score("location", KEY, 3, 4, width=4)),
    ("filters must have an odd width", lambda: at.location(even, Q, K, FLAGS * 1.0)),
    ("the parameters of location are query, .* found query, keys, v", lambda: at.location(ADDITIVE, Q, K, FLAGS * 1.0)),
    ("query must have 3 features", lambda: at.additive(ADDITIVE, K[:, 0], K)),
    ("keys must have 4 features, .* projected=True", lambda: at.additive(ADDITIVE, Q, K[..., :3])),
    ('keys must have 3 features, .*"general" takes other ones', lambda: at.dot(Q, K)),
    ("a query has no time axis", lambda: at.dot(K, K)),
    (r"real must have the shape \(2, 5\), .* found \(2, 4\)", lambda: at.attend(FLAGS * 1.0, K, FLAGS[:, :4])),
]


@pytest.mark.parametrize(("said", "call"), TYPES, ids=[said for said, _ in TYPES])
def test_wrong_types(said, call):
    with pytest.raises(ArgumentTypeError, match=said):
        call()


@pytest.mark.parametrize(("said", "call"), VALUES, ids=[said for said, _ in VALUES])
def test_wrong_values(said, call):
    with pytest.raises(ArgumentError, match=said):
        call()


def test_too_many_tokens_are_an_error_inside_jit_where_all_are_real():
    with pytest.raises(ArgumentError, match="5 tokens do not fit in a cache of capacity 4"):
        jax.jit(lambda x: extend(x, at.places(COUNT, steps=5)))(X)
    jax.jit(lambda x: extend(x, at.places(COUNT, jnp.ones((2, 5), bool)), window=4))(X)
