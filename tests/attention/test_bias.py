"""ALiBi, T5's and Shaw's biases against the authors' code in plain Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.attention import alibi, alibi_slopes, dot_product, relative, relative_buckets, shaw


def slopes(n):
    """`get_slopes` of the authors' repository (Press et al. 2022)."""

    def of_power(n):
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(n).is_integer():
        return of_power(n)
    below = 2 ** math.floor(math.log2(n))
    return of_power(below) + slopes(2 * below)[0::2][: n - below]


def buckets_of_t5(difference, buckets, bidirectional, max_distance):
    """`_relative_position_bucket` of T5, one number at a time, with its float32."""
    first = 0
    if bidirectional:
        buckets //= 2
        first, n = buckets * (difference > 0), abs(difference)
    else:
        n = -min(difference, 0)
    near = buckets // 2
    if n < near:
        return first + n
    ratio = np.log(np.float32(n) / np.float32(near)) / np.float32(math.log(max_distance / near))
    return first + min(near + int(ratio * np.float32(buckets - near)), buckets - 1)


def test_slopes_for_any_number_of_heads():
    for n in range(1, 41):
        np.testing.assert_allclose(alibi_slopes(n), slopes(n), rtol=1e-13)


def test_alibi_is_minus_slope_times_distance(x64):
    q_at, k_at = np.array([[5, 6], [0, 9]]), np.array([[0, 5, 9], [1, 0, 7]])
    found = alibi(3).scores(np.zeros((2, 2, 3, 4)), q_at, k_at)
    want = [[[[-m * abs(q - k) for k in ks] for q in qs] for m in slopes(3)] for qs, ks in zip(q_at, k_at)]
    np.testing.assert_allclose(found, want, rtol=1e-15)
    np.testing.assert_array_equal(alibi(3).scores(np.zeros((2, 2, 3, 4)), q_at[0], k_at[0]), found[0])


CONFIGS = [(32, True, 128), (32, False, 128), (8, True, 20), (12, False, 100), (6, True, 64), (2, False, 4)]


@pytest.mark.parametrize(("buckets", "bidirectional", "max_distance"), CONFIGS)
def test_buckets_are_those_of_t5(buckets, bidirectional, max_distance):
    far = np.arange(-300, 301)
    want = [buckets_of_t5(int(d), buckets, bidirectional, max_distance) for d in far]
    found = relative_buckets(far, buckets, bidirectional, max_distance)
    np.testing.assert_array_equal(found, want)
    assert len(set(want)) == buckets - bidirectional  # of one bucket there is no key: ahead by nothing


@pytest.mark.slow
def test_buckets_are_those_of_transformers():
    torch = pytest.importorskip("torch", reason="to compare with it")
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5", reason="to compare with it")
    far = np.arange(-3000, 3001)
    for buckets, bidirectional, max_distance in CONFIGS:
        want = t5.T5Attention._relative_position_bucket(torch.tensor(far), bidirectional, buckets, max_distance)
        np.testing.assert_array_equal(relative_buckets(far, buckets, bidirectional, max_distance), want.numpy())


def test_relative_is_the_table_at_the_bucket(x64):
    """Also its gradient: the sum over the pairs of a bucket."""
    rng = np.random.default_rng(0)
    table, at = rng.normal(size=(8, 3)), rng.integers(0, 40, (2, 6))
    weights, q = rng.normal(size=(2, 3, 6, 6)), np.zeros((2, 6, 3, 4))
    where = np.array([[[buckets_of_t5(int(k - p), 8, True, 20) for k in row] for p in row] for row in at])
    scores = lambda table: relative(table, max_distance=20).scores(q, at, at)
    np.testing.assert_array_equal(scores(table), np.moveaxis(table[where], -1, 1))
    want = np.zeros_like(table)
    for b, n, t, s in np.ndindex(weights.shape):
        want[where[b, t, s], n] += weights[b, n, t, s]
    np.testing.assert_allclose(jax.grad(lambda t: jnp.sum(weights * scores(t)))(table), want, atol=1e-13)


def test_shaw_is_the_query_times_the_vector_of_the_distance(x64):
    rng = np.random.default_rng(0)
    table, q = rng.normal(size=(5, 4)), rng.normal(size=(2, 3, 2, 4))
    q_at, k_at = np.array([[3, 4, 5], [0, 9, 2]]), np.array([0, 2, 4, 5, 9])
    want = np.zeros((2, 2, 3, 5))
    for b, n, t, s in np.ndindex(want.shape):
        want[b, n, t, s] = q[b, t, n] @ table[min(max(k_at[s] - q_at[b, t], -2), 2) + 2]
    found = lambda table, q: shaw(table).scores(q, q_at, k_at)
    np.testing.assert_allclose(found(table, q), want, atol=1e-14)
    step = 1e-6 * rng.normal(size=table.shape)
    slope = np.sum(np.sin(found(table + step, q)) - np.sin(found(table - step, q))) / 2
    gradient = jax.grad(lambda t: jnp.sum(jnp.sin(found(t, q))))(table)
    np.testing.assert_allclose(np.sum(gradient * step), slope, rtol=1e-7)


def biases(heads=2, width=4):
    table = jax.random.normal(jax.random.key(5), (9, 4))
    return {"alibi": alibi(heads), "t5": relative(table[:8, :heads], max_distance=9), "shaw": shaw(table[:, :width])}


@pytest.mark.parametrize("name", biases())
def test_a_block_is_a_part_of_the_whole(name):
    bias, q = biases()[name], jax.random.normal(jax.random.key(0), (2, 6, 2, 4))
    at = jnp.array([[4, 5, 6, 7, 8, 9], [0, 1, 2, 0, 1, 2]])
    whole = bias.scores(q, at, at)
    block = bias.scores(q[:, 2:5], at[:, 2:5], at[:, 1:3])
    np.testing.assert_allclose(block, whole[:, :, 2:5, 1:3], atol=1e-6)


@pytest.mark.parametrize("name", biases())
def test_in_attention(x64, name):
    """Added to the scaled scores, by positions of one's own; gradients reach the tables."""
    bias, (q, k, v) = biases()[name], jax.random.normal(jax.random.key(0), (3, 2, 5, 2, 4))
    at = jnp.array([3, 4, 9, 1, 0]), jnp.array([0, 8, 2, 3, 4])
    scores = jnp.einsum("btnh,bsnh->bnts", q, k) / 2 + jnp.broadcast_to(bias.scores(q / 2, *at), (2, 2, 5, 5))
    want = jnp.einsum("bnts,bsnh->btnh", jax.nn.softmax(scores), v)
    np.testing.assert_allclose(dot_product(q, k, v, bias=bias, positions=at), want, atol=1e-12)
    gradient = jax.grad(lambda bias: jnp.sum(dot_product(q, k, v, bias=bias, positions=at) ** 2))(bias)
    assert all(np.isfinite(leaf).all() and np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    assert len(jax.tree.leaves(gradient)) == (name != "alibi")
