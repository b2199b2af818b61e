"""What stands in padding is not read: NaN, infinities. Flags of keys and flags of pairs are told apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import ArgumentError
from seqjax import attention as A
from seqjax.attention import backends, blocks

RNG = np.random.default_rng(0)
Q = RNG.normal(size=(2, 5, 4, 3)).astype(np.float32)
K, V = RNG.normal(size=(2, 2, 6, 2, 3)).astype(np.float32)
REAL = np.array([[True, True, False, True, True, False], [False] * 2 + [True] * 4])
MASKS = {"padding": A.causal() & A.padding(REAL), "array": REAL[:, None, None], "one row": REAL[0]}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(backends, "block_sizes", lambda *lengths: blocks.Counts(4, 3))


@pytest.mark.parametrize("backend", ["plain", "chunked"])
@pytest.mark.parametrize("name", MASKS)
def test_nan_and_inf_in_padded_keys_reached_outputs_and_gradients_as_0_times_nan(name, backend):
    real = np.broadcast_to(REAL[0] if name == "one row" else REAL, (2, 6))

    def loss(q, k, v):
        o = A.dot_product(q, k, v, MASKS[name], backend=backend)
        return jnp.sum(o**2), o

    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    clean = run(Q, K, V)
    for wrong in (np.nan, np.inf):
        dirty = run(Q, *(np.where(real[..., None, None], a, wrong).astype(np.float32) for a in (K, V)))
        for found, wanted in zip(jax.tree.leaves(dirty), jax.tree.leaves(clean)):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "shape, batch, words",
    [((5, 5), (5,), r"may be \[T, S\], flags of pairs, or \[\*B, S\]"), ((4, 5, 5), (4, 5), r"may be \[N, T, S\]")],
)
def test_flags_of_keys_were_read_as_flags_of_pairs_where_the_batch_is_as_long_as_the_sequence(shape, batch, words):
    x, flags = jnp.ones((*batch, 5, 4, 3)), np.tri(shape[-1], dtype=bool) & np.ones(shape, bool)
    for mask in (flags, A.causal() & flags):
        with pytest.raises(ArgumentError, match=words):
            A.dot_product(x, x, x, mask)
    assert A.dot_product(x, x, x, flags[None]).shape == A.dot_product(x, x, x, A.padding(flags)).shape == x.shape


def test_flags_of_one_row_mean_the_same_in_both_ways():
    q, k = Q[:1, :1], K[:1]
    one = A.dot_product(q, k, k, REAL[:1])
    np.testing.assert_array_equal(one, A.dot_product(q, k, k, A.padding(REAL[:1])))


@pytest.mark.parametrize("heads", [1, 3, 8])
def test_a_bias_of_other_heads_was_broadcast_or_failed_in_an_addition(heads):
    for bias, name in ((A.alibi(heads), "alibi"), (A.relative(jnp.ones((8, heads))), "relative")):
        for backend in ("plain", "chunked"):
            with pytest.raises(ArgumentError, match=f"bias {name} is for {heads} heads, but there are 4 heads"):
                A.dot_product(Q, K, V, bias=bias, backend=backend)


def test_no_tokens_at_all_leave_a_cache_as_it_is():
    cache = A.empty((2,), 4, 1, 3)
    cache, _ = A.extend(cache, K[:, :3, :1], V[:, :3, :1], A.places(cache.count, steps=3))
    for flags in (None, jnp.ones((2, 0), bool)):
        places = A.places(cache.count, flags, flags, steps=0)
        after, keys = A.extend(cache, K[:, :0, :1], V[:, :0, :1], places)
        assert keys.k.shape == (2, 4, 1, 3) and places.position.shape == (2, 0)
        for found, wanted in zip(after, cache):
            np.testing.assert_array_equal(found, wanted)
    assert A.dot_product(Q[:, :0], keys.k, keys.v, A.causal(), positions=(places.position, keys.position)).shape[1] == 0
