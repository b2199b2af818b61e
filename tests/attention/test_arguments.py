"""Wrong calls, the choice of a backend, dropout, positions: what belongs to the arguments of `dot_product`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import attention as A
from seqjax.attention import backends, blocks
from seqjax.core.explanation import collect_lines
from seqjax.errors import ArgumentError, ArgumentTypeError
from tests.attention.reference import attend

B, T, S, N, K, H = 2, 5, 8, 4, 2, 3
RNG = np.random.default_rng(0)
Q = RNG.normal(size=(B, T, N, H)).astype(np.float32)
KS, VS = RNG.normal(size=(2, B, S, K, H)).astype(np.float32)
KEY = jax.random.key(0)


def call(*masks, q=Q, k=KS, v=VS, **options):
    return lambda: A.dot_product(q, k, v, *masks, **options)


WRONG = [
    (call(q=Q.astype(int)), ArgumentTypeError, "q must be a floating point array, found dtype int64"),
    (call(q=Q.tolist()), ArgumentTypeError, "found list"),
    (call(k=None), ArgumentTypeError, "k must be a floating point array, found NoneType"),
    (call(q=Q[0, 0]), ArgumentError, "Are the heads missing"),
    (call(q=Q[0]), ArgumentError, "the same batch axes"),
    (call(q=np.swapaxes(Q, 1, 2)), ArgumentError, "Is time behind the heads"),
    (call(k=KS[:, :-1]), ArgumentError, "k and v must have the same shape"),
    (call(k=KS[:1], v=VS[:1]), ArgumentError, "the same batch axes"),
    (call(q=Q[:, :, :3]), ArgumentError, "the heads of k must divide those of q"),
    (call(k=KS[:, :, :0], v=VS[:, :, :0]), ArgumentError, "the heads of k must divide"),
    (call(q=Q[..., :2]), ArgumentError, "heads of the same width"),
    (call(np.ones((T, S), int)), ArgumentTypeError, "True = attend, found dtype int64"),
    (call(np.zeros((T, S))), ArgumentTypeError, "goes to bias"),
    (call("causal"), ArgumentTypeError, "mask must be a bool array or a Mask"),
    (call(np.ones((S, T), bool)), ArgumentError, r"broadcast to the shape \(2, 4, 5, 8\), found \(8, 5\)"),
    (call(np.ones((B, T, S), bool)), ArgumentError, "broadcast to the shape"),
    (call(np.ones((B, S), bool)), ArgumentError, r"found \(2, 8\). Which keys are real\? Write padding\(mask\)"),
    (call(A.padding(np.ones((B, T), bool))), ArgumentError, r"padding must have the shape \(2, 8\), found \(2, 5\)"),
    (call(A.padding(np.ones((3, S), bool))), ArgumentError, "padding must have the shape"),
    (call(A.segments(np.zeros((B, T), int))), ArgumentError, "give the ids of both"),
    (call(A.prefix(np.zeros(3, int))), ArgumentError, "prefix must have the shape"),
    (call(bias=np.ones((T, S), bool)), ArgumentTypeError, "goes to mask"),
    (call(bias=np.ones((S, T))), ArgumentError, "bias must broadcast to"),
    (call(bias=3), ArgumentTypeError, "or a Bias, found int"),
    (call(scale="sqrt"), ArgumentTypeError, "scale must be a number"),
    (call(scale=True), ArgumentTypeError, "scale must be a number"),
    (call(scale=np.ones(N)), ArgumentError, "scale must be one number"),
    (call(scale=float("inf")), ArgumentError, "scale must be finite and above 0, found inf"),
    (call(scale=0), ArgumentError, "scale must be finite and above 0, found 0"),
    (call(scale=jnp.float32(-1)), ArgumentError, "scale must be finite and above 0, found -1"),
    (call(scale=np.float64("nan")), ArgumentError, "scale must be finite and above 0, found nan"),
    (call(positions=np.arange(T)), ArgumentTypeError, "positions must be a pair"),
    (call(positions=(np.arange(S), np.arange(S))), ArgumentError, "positions of queries must have the shape"),
    (call(positions=(np.arange(T) * 1.0, np.arange(S))), ArgumentTypeError, "whole numbers"),
    (call(dropout=0.1), ArgumentTypeError, r"a pair \(rate, key\)"),
    (call(dropout=(0.1, None)), ArgumentTypeError, "the key of dropout must be"),
    (call(dropout=(0.1, jax.random.PRNGKey(0))), ArgumentTypeError, "old style"),
    (call(dropout=(1.0, KEY)), ArgumentError, r"in \[0, 1\)"),
    (call(dropout=(jnp.ones(2), KEY)), ArgumentTypeError, "rate of dropout must be a number"),
    (call(dropout=(0.1, jax.random.split(KEY, (B, S)))), ArgumentError, r"\[\*B, T\] \(2, 5\)"),
    (call(backend="flash"), ArgumentError, "Known: auto, chunked, cudnn, plain"),
    (call(backend="chunk"), ArgumentError, "Perhaps you meant 'chunked'"),
    (call(backend="chunked", return_weights=True), ArgumentError, "return_weights"),
    (call(backend="cudnn"), ArgumentError, "no GPU; it takes bfloat16 or float16, found float32; heads must be"),
    (call(return_weights=1), ArgumentTypeError, "True or False"),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[2][:40])
def test_wrong_calls_are_refused_with_the_reason(wrong):
    run, error, words = wrong
    with pytest.raises(error, match=words):
        run()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mask": A.padding(np.ones((B, S), bool))}, "of masks it knows"),
        ({"mask": A.window(3)}, "a window without causal"),
        ({"mask": A.causal()}, "T = S and default positions"),
        ({"bias": A.alibi(N)}, "no bias"),
        ({"dropout": (0.1, KEY)}, "dropout"),
    ],
)
def test_cudnn_says_what_it_cannot_do(options, words):
    with pytest.raises(ArgumentError, match=words):
        A.dot_product(Q, KS, VS, backend="cudnn", **options)


def test_cudnn_is_refused_a_cpu_alone_where_all_else_fits():
    x = jnp.ones((1, 4, 2, 8), jnp.bfloat16)
    with pytest.raises(ArgumentError, match=r"cannot compute this: the device is cpu, no GPU$"):
        A.dot_product(x, x, x, A.causal() & A.window(2), backend="cudnn")


def choice(queries, keys, **options):
    x = lambda n: jax.ShapeDtypeStruct((1, n, 1, 8), jnp.float32)
    with collect_lines() as lines:
        jax.eval_shape(lambda *qkv: A.dot_product(*qkv, **options), x(queries), x(keys), x(keys))
    return lines[0]


def test_auto_goes_by_size_and_says_so():
    assert ": plain (short; no cudnn: the device is cpu" in choice(64, 64)
    assert ": plain (one query;" in choice(1, 2**20)
    assert ": chunked (409,600 pairs or more;" in choice(640, 640)
    assert ": plain (return_weights;" in choice(640, 640, return_weights=True)
    assert ": chunked (as asked)" in choice(4, 4, backend="chunked")


def factors(rate, key, positions=None, rows=slice(None), **options):
    """What each weight was multiplied by: q and k of zeros make equal weights, and values are unit vectors."""
    n = S if positions is None else len(positions[1])
    zeros, units = (
        np.zeros((B, T, N, n), np.float32),
        np.broadcast_to(np.eye(n, dtype=np.float32)[:, None], (B, n, N, n)),
    )
    q, k, v = zeros[rows], np.zeros_like(units)[rows], units[rows]
    found = A.dot_product(q, k, v, dropout=(rate, key), positions=positions, **options)
    return np.swapaxes(np.asarray(found) * n, 1, 2)


def test_dropout_is_a_function_of_query_position_and_head(monkeypatch):
    wanted = factors(0.25, KEY)
    assert np.all((wanted == 0) | np.isclose(wanted, 4 / 3))
    assert abs(np.mean(wanted == 0) - 0.25) < 3 * np.sqrt(0.25 * 0.75 / wanted.size)
    for axis in range(4):  # neighbouring rows, heads, queries and keys are as alike as independent draws
        alike = np.mean(wanted == np.roll(wanted, 1, axis))
        assert abs(alike - (0.75**2 + 0.25**2)) < 4 * np.sqrt(0.625 * 0.375 / wanted.size)
    for size in ((2, 3), (5, 8)):
        monkeypatch.setattr(backends, "block_sizes", lambda *lengths: blocks.Counts(*size))
        np.testing.assert_allclose(factors(0.25, KEY, backend="chunked"), wanted, atol=1e-6)
    # Keys of queries: a cache with the tokens in other slots, and one query alone, drop the same.
    keys, order = jax.random.split(KEY, (B, T)), RNG.permutation(S)
    whole = factors(0.25, keys)
    moved = factors(0.25, keys, (np.arange(S - T, S), order))
    np.testing.assert_allclose(moved, whole[..., order], atol=1e-6)
    x = np.zeros((B, 1, N, S), np.float32)
    units = np.broadcast_to(np.eye(S, dtype=np.float32)[:, None], (B, S, N, S))
    one = A.dot_product(x, np.zeros_like(units), units, dropout=(0.25, keys[:, 2:3])) * S
    np.testing.assert_allclose(np.swapaxes(one, 1, 2)[:, :, 0], whole[:, :, 2], atol=1e-6)


def test_weights_are_those_before_dropout():
    outputs, weights = A.dot_product(Q, KS, VS, A.causal(), dropout=(0.5, KEY), return_weights=True)
    wanted, wanted_weights = attend(Q, KS, VS, A.causal().array(T, S))
    np.testing.assert_allclose(weights, wanted_weights, atol=1e-6)
    assert np.max(abs(outputs - wanted)) > 0.1
    np.testing.assert_array_equal(A.dot_product(Q, KS, VS, dropout=(0.0, None)), A.dot_product(Q, KS, VS))


def test_queries_are_the_last_of_the_keys():
    """A whole sequence at once, its last part alone, and token by token: the same numbers."""
    q = RNG.normal(size=(B, S, N, H)).astype(np.float32)
    whole = A.dot_product(q, KS, VS, A.causal() & A.window(4))
    np.testing.assert_allclose(A.dot_product(q[:, 3:], KS, VS, A.causal() & A.window(4)), whole[:, 3:], atol=1e-6)
    for t in (0, 3, 7):
        one = A.dot_product(q[:, t : t + 1], KS[:, : t + 1], VS[:, : t + 1], A.causal() & A.window(4))
        np.testing.assert_allclose(one, whole[:, t : t + 1], atol=1e-6)
