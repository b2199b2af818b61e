"""`dot_product` by its backends against NumPy in float64: values, weights, empty rows, dtypes, and against jax.nn and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax import attention as A
from seqjax.attention import backends, blocks
from tests.attention.reference import attend

BACKENDS = ("plain", "chunked")
B, T, S, N, H = 2, 7, 10, 4, 3


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 4 queries and 3 keys: a few tokens make many blocks, some of them filled up, some skipped."""
    monkeypatch.setattr(backends, "block_sizes", lambda *lengths: blocks.Counts(4, 3))


def arrays(seed=0, queries=T, keys=S, heads=N, kv_heads=2, width=H, rows=B):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, queries, heads, width)), *rng.normal(size=(2, rows, keys, kv_heads, width))


RNG = np.random.default_rng(1)
PLACES = (np.sort(RNG.integers(0, 12, (B, T))), RNG.permuted(np.arange(S)[None].repeat(B, 0), axis=1))
IDS, KEY_IDS = np.sort(RNG.integers(0, 3, (B, T))), np.sort(RNG.integers(0, 3, (B, S)))
REAL, PAIRS = RNG.random((B, S)) > 0.3, RNG.random((B, N, T, S)) > 0.4
MASKS = {
    "none": A.Mask(),
    "causal": A.causal(),
    "window": A.window(3),
    "causal window": A.causal() & A.window(2),
    "padding": A.padding(REAL),
    "segments": A.causal() & A.segments(IDS, KEY_IDS),
    "prefix": A.prefix(np.array([2, 9])),
    "pairs": A.Mask() & PAIRS,
    "pairs of queries": A.Mask() & PAIRS[:, :1, :, :1],
    "pairs of keys": A.Mask() & PAIRS[0, 0, 0],
    "all": A.prefix(4) & A.window(8) & A.padding(REAL) & A.segments(IDS, KEY_IDS) & PAIRS,
    "nothing": A.padding(np.zeros((B, S), bool)),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MASKS)
def test_every_mask_under_every_backend(name, backend, x64):
    q, k, v = arrays()
    for positions in (None, PLACES):
        allowed = MASKS[name].array(T, S, positions)
        found = A.dot_product(q, k, v, MASKS[name], positions=positions, backend=backend)
        np.testing.assert_allclose(found, attend(q, k, v, allowed)[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kv_heads", (1, 2, 4))
def test_biases_scale_and_shared_heads(backend, kv_heads, x64):
    q, k, v = arrays(kv_heads=kv_heads)
    for shape in ((B, N, T, S), (N, 1, S), (T, 1), (S,)):
        bias = RNG.normal(size=shape)
        wanted, _ = attend(q, k, v, A.causal().array(T, S), np.broadcast_to(bias, (B, N, T, S)), scale=0.3)
        found = A.dot_product(q, k, v, A.causal(), bias=bias, scale=0.3, backend=backend)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)
    for by_position in (A.alibi(N), A.relative(RNG.normal(size=(8, N))), A.shaw(RNG.normal(size=(5, H)))):
        array = by_position.scores(q * H**-0.5, *PLACES)
        found = A.dot_product(q, k, v, bias=by_position, positions=PLACES, backend=backend)
        wanted, _ = attend(q, k, v, bias=np.broadcast_to(array, (B, N, T, S)))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


sizes = st.integers(1, 9)


@given(st.integers(0, 99), sizes, sizes, st.sampled_from([(4, 4), (4, 2), (3, 1)]), st.data())
def test_any_lengths_heads_and_masks(seed, queries, keys, heads, data):
    rng = np.random.default_rng(seed)
    q, k, v = (a.astype(np.float32) for a in arrays(seed, queries, keys, *heads))
    mask = A.Mask()
    for part in data.draw(st.sets(st.sampled_from(["causal", "window", "padding", "segments", "prefix", "pairs"]))):
        mask &= {
            "causal": A.causal(),
            "window": A.window(int(rng.integers(1, 9))),
            "padding": A.padding(rng.random((B, keys)) > 0.3),
            "segments": A.segments(rng.integers(0, 2, (B, queries)), rng.integers(0, 2, (B, keys))),
            "prefix": A.prefix(rng.integers(0, 9, B)),
            "pairs": rng.random((B, 1, queries, keys)) > 0.3,
        }[part]
    wanted, weights = attend(q, k, v, mask.array(queries, keys))
    found, found_weights = A.dot_product(q, k, v, mask, return_weights=True)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6)
    np.testing.assert_allclose(found_weights, weights, rtol=0, atol=1e-6)
    found = A.dot_product(q, k, v, mask, backend="chunked")
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_number_of_batch_axes(backend):
    q, k, v = (a.astype(np.float32) for a in arrays(rows=6))
    mask = A.causal() & A.padding(RNG.random((6, S)) > 0.3)
    wanted = A.dot_product(q, k, v, mask, backend=backend)
    cut = lambda a: a.reshape(2, 3, *a.shape[1:])
    found = A.dot_product(cut(q), cut(k), cut(v), A.causal() & A.padding(cut(mask.real)), backend=backend)
    np.testing.assert_allclose(found, cut(wanted), rtol=0, atol=1e-6)
    row = A.dot_product(q[1], k[1], v[1], A.causal() & A.padding(mask.real[1]), backend=backend)
    np.testing.assert_allclose(row, wanted[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float16))
def test_narrow_dtypes_are_within_their_rounding(backend, dtype):
    """Scores, softmax and sums are in float32: what is rounded is q, k, v (given), the weights, and the output."""
    q, k, v = (jnp.asarray(a, dtype) for a in arrays(width=16, queries=33, keys=40))
    found, weights = A.dot_product(q, k, v, A.causal(), return_weights=True)
    found = found if backend == "plain" else A.dot_product(q, k, v, A.causal(), backend=backend)
    wanted, exact = attend(q, k, v, A.causal().array(33, 40))
    assert found.dtype == dtype and weights.dtype == jnp.float32
    np.testing.assert_allclose(weights, exact, rtol=0, atol=1e-6)
    unit = float(jnp.finfo(dtype).eps) / 2
    assert np.max(abs(np.asarray(found, np.float64) - wanted)) <= 2 * unit * np.max(abs(np.asarray(v, np.float64)))


def test_mixed_dtypes_are_promoted():
    q, k, v = arrays()
    assert A.dot_product(jnp.asarray(q, jnp.bfloat16), jnp.asarray(k, jnp.float32), v).dtype == jnp.float32


def test_a_bias_of_minus_infinity_masks():
    q, k, v = (a.astype(np.float32) for a in arrays())
    bias = np.where(PAIRS & (np.arange(T) > 0)[:, None], 0, -np.inf).astype(np.float32)  # the first query sees nothing
    for backend in BACKENDS:
        found, pull = jax.vjp(lambda *qkv: A.dot_product(*qkv, bias=bias, backend=backend), q, k, v)
        np.testing.assert_allclose(found, attend(q, k, v, bias == 0)[0], rtol=0, atol=1e-6)
        assert not np.any(found[:, 0]) and all(np.all(np.isfinite(g)) for g in pull(found))


@pytest.mark.parametrize("lengths", [(0, 5, 2), (5, 0, 2), (0, 0, 2), (5, 5, 0)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_queries_no_keys_no_rows(lengths, backend):
    q, k, v = (a.astype(np.float32) for a in arrays(queries=lengths[0], keys=lengths[1], rows=lengths[2]))
    found = A.dot_product(q, k, v, A.causal(), backend=backend)
    assert found.shape == q.shape and not np.any(found)


def test_as_jax_nn_does():
    q, k, v = (a.astype(np.float32) for a in arrays(queries=S))
    for backend in BACKENDS:
        mine = lambda *masks, **options: A.dot_product(q, k, v, *masks, backend=backend, **options)
        theirs = lambda **options: jax.nn.dot_product_attention(q, k, v, **options)
        some = PAIRS[:, :1, :1] | (np.arange(S) == 0)
        near = lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
        near(mine(), theirs())
        near(mine(A.causal() & A.window(3)), theirs(is_causal=True, local_window_size=(2, 0)))
        near(mine(A.window(3)), theirs(local_window_size=2))
        near(mine(A.causal() & some), theirs(is_causal=True, mask=some))
        near(
            mine(some, bias=PAIRS[:, :, :1] * 1.0, scale=0.2), theirs(mask=some, bias=PAIRS[:, :, :1] * 1.0, scale=0.2)
        )


def test_as_torch_does():
    torch = pytest.importorskip("torch", reason="torch is an extra of its own")
    q, k, v = (a.astype(np.float32) for a in arrays())
    to = lambda a: torch.from_numpy(np.swapaxes(a, 1, 2).copy()).requires_grad_()
    theirs = [to(a) for a in (q, k, v)]
    allowed = np.asarray((A.causal() & A.padding(REAL | (np.arange(S) == 0))).array(T, S))
    wanted = torch.nn.functional.scaled_dot_product_attention(
        *theirs, torch.from_numpy(allowed.copy()), enable_gqa=True
    )
    weights = RNG.normal(size=q.shape).astype(np.float32)
    (wanted * to(weights)).sum().backward()
    for backend in BACKENDS:
        found, pull = jax.vjp(lambda *qkv: A.dot_product(*qkv, allowed, backend=backend), q, k, v)
        np.testing.assert_allclose(found, np.swapaxes(wanted.detach().numpy(), 1, 2), rtol=0, atol=2e-6)
        for mine, leaf in zip(pull(jnp.asarray(weights)), theirs):
            np.testing.assert_allclose(mine, np.swapaxes(leaf.grad.numpy(), 1, 2), rtol=0, atol=5e-6)
