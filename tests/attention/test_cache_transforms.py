"""The cache within programs: in place, over devices, narrow, too full, differentiated.

`tests/attending_cells.py` has a cell that is made of it, which is under the whole law in `tests/table.py`.
"""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax.attention import empty, extend, overflow, places, poison
from tests.attending_cells import attention
from tests.attention.cache_reference import allowed


def tokens(*shape, dtype=jnp.float32, seed=0):
    return jax.random.normal(jax.random.key(seed), (*shape, 1, 4), dtype)


def put(cache, k, mask=None, resets=None, **options):
    return extend(cache, k, -k, places(cache.count, mask, resets, k.shape[-3]), **options)


def read(cache, k, mask=None, resets=None, **options):
    """Cache and outputs of an attention whose queries are the keys."""
    at = places(cache.count, mask, resets, k.shape[-3])
    after, keys = extend(cache, k, -k, at, **options)
    one = lambda a: a[..., 0, :].astype(k.dtype)
    ys = attention(one(k), one(keys.k), one(keys.v), allowed(at, keys, options.get("window")))
    return after, poison(ys, cache, at, window=options.get("window"))


@pytest.mark.parametrize("window", [None, 50])
def test_one_token_is_written_in_place(window):
    """Of a donated cache of 8 MB a step takes no copy, and says that it gives the same memory back."""
    cache = empty((2,), 100_000, 1, 4)
    step = jax.jit(lambda cache, k: put(cache, k, window=window)[0], donate_argnums=0)
    memory = step.lower(cache, tokens(2, 1)).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 10_000
    assert memory.alias_size_in_bytes >= cache.k.nbytes + cache.v.nbytes


def test_one_token_touches_its_slot_alone():
    """Nothing but the scatter of one row makes an array as large as the cache; a reset does, as it clears."""
    cache = empty((2,), 9, 1, 4)
    jaxpr = jax.make_jaxpr(lambda cache, k: put(cache, k)[0])(cache, tokens(2, 1))
    makers = [e.primitive.name for e in jaxpr.eqns if any(v.aval.shape == cache.k.shape for v in e.outvars)]
    assert makers == ["scatter", "scatter"]


def test_a_loop_of_tokens_copies_nothing():
    cache, ks = empty((2,), 100_000, 1, 4), tokens(30, 2, 1)
    loop = jax.jit(lambda cache, ks: jax.lax.scan(lambda c, k: (put(c, k)[0], None), cache, ks)[0], donate_argnums=0)
    assert loop.lower(cache, ks).compile().memory_analysis().temp_size_in_bytes < 1_000_000


def test_vmap_is_a_batch_axis():
    k, mask, resets = tokens(3, 5), np.arange(15).reshape(3, 5) % 4 > 0, np.arange(15).reshape(3, 5) % 7 == 3
    args = empty((3,), 4, 1, 4), k, mask, resets
    run = functools.partial(put, window=2)
    chex.assert_trees_all_equal(jax.jit(jax.vmap(run))(*args), jax.jit(run)(*args))


@pytest.mark.parametrize("flags", [True, False])
def test_eight_devices(flags):
    """A chunk, then two tokens in a loop; with explicit axes, which refuse most (the law has the other kind)."""
    k = tokens(8, 6)
    mask = np.arange(48).reshape(8, 6) % 5 > 0 if flags else None
    resets = np.arange(48).reshape(8, 6) % 7 == 3 if flags else None

    def run(cache, k, mask, resets):
        cut = lambda first, last: [a if a is None else a[:, first:last] for a in (k, mask, resets)]
        cache, first = read(cache, *cut(0, 4), window=3)
        one = lambda cache, x: read(cache, *(a if a is None else a[:, None] for a in x), window=3)
        steps = [a if a is None else jnp.moveaxis(a, 1, 0) for a in cut(4, 6)]
        cache, last = jax.lax.scan(one, cache, steps)
        return cache, first, last[:, :, 0]

    args = empty((8,), 3, 1, 4), k, mask, resets
    want = jax.jit(run)(*args)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    rows = PartitionSpec("data")
    with jax.set_mesh(mesh):
        placed = jax.tree.map(lambda a: jax.device_put(a, NamedSharding(mesh, rows)), args)
        outs = (rows, rows, PartitionSpec(None, "data"))
        for f in (run, jax.shard_map(run, in_specs=rows, out_specs=outs)):
            chex.assert_trees_all_close(jax.device_get(jax.jit(f)(*placed)), jax.device_get(want), atol=1e-6)


def test_a_narrow_cache_is_the_same_for_all_cuts():
    """Keys are rounded before anybody reads them, so that the sum of a chunk is that of its steps."""
    cache, k = empty((2,), 6, 1, 4, jnp.bfloat16), tokens(2, 6)
    run = jax.jit(read, static_argnames="fresh")
    whole, fresh, ys = run(cache, k), run(cache, k, fresh=True), []
    for t in range(6):
        cache, y = run(cache, k[:, t : t + 1])
        ys.append(y)
    assert cache.k.dtype == jnp.bfloat16 and whole[1].dtype == jnp.float32
    chex.assert_trees_all_close((cache, jnp.concatenate(ys, axis=1)), whole, atol=1e-6)
    chex.assert_trees_all_close(fresh, whole, atol=1e-6)


def test_overflow_is_nan_inside_jit_until_a_reset():
    resets = np.array([[False] * 4 + [True, False]])
    mask = np.array([[True, True, False, True, True, True]])
    for cuts in ([6], [1] * 6, [4, 2]):
        cache, first, full = empty((1,), 2, 1, 4), 0, []
        for n in cuts:
            part = np.s_[:, first : first + n]
            cache, ys = jax.jit(read)(cache, tokens(1, 6)[part], mask[part], resets[part])
            full += np.isnan(ys).all(axis=-1)[0].tolist()
            first += n
        assert full == [False, False, False, True, False, False], cuts
        assert cache.at.tolist() == [[0, 1]] and np.isfinite(cache.k).all()


def test_a_window_never_overflows():
    cache = empty((1,), 2, 1, 4)
    cache, ys = jax.jit(functools.partial(read, window=2))(cache, tokens(1, 9))
    assert np.isfinite(ys).all() and cache.at.tolist() == [[8, 7]]
    assert not overflow(cache, places(cache.count, steps=4), window=2).any()


def test_gradients_are_those_of_the_whole(x64):
    """Through the cache and what is left in it: a ring, masks, resets, chunks of all kinds; against differences too."""
    k = tokens(2, 6, dtype=jnp.float64)
    mask, resets = np.arange(12).reshape(2, 6) % 5 > 0, np.arange(12).reshape(2, 6) % 7 == 3

    def loss(cuts, k):
        cache, total = empty((2,), 4, 1, 4, jnp.float64), 0.0
        for first, last in itertools.pairwise(cuts):
            part = np.s_[:, first:last]
            cache, ys = read(cache, k[part], mask[part], resets[part], window=3)
            total += jnp.sum(jnp.sin((first + 1) * ys[:, -1]) * mask[:, last - 1, None])
            total += jnp.sum(jnp.where(mask[part][..., None], ys, 0) ** 3)
        return total + jnp.sum(jnp.cos(cache.k))

    def same_loss(cuts, k):  # the sines of the whole are those of the last tokens of the chunks
        cache, ys = read(empty((2,), 4, 1, 4, jnp.float64), k, mask, resets, window=3)
        ends = [(first + 1) * ys[:, last - 1] for first, last in itertools.pairwise(cuts)]
        total = sum(jnp.sum(jnp.sin(y) * mask[:, last - 1, None]) for y, last in zip(ends, cuts[1:]))
        return total + jnp.sum(jnp.where(mask[..., None], ys, 0) ** 3) + jnp.sum(jnp.cos(cache.k))

    cuts = [0, 1, 2, 4, 5, 6]
    found = jax.jit(jax.value_and_grad(functools.partial(loss, cuts)))(k)
    whole = jax.jit(jax.value_and_grad(functools.partial(same_loss, cuts)))
    chex.assert_trees_all_close(found, whole(k), rtol=1e-12, atol=1e-14)
    step = 1e-6 * jax.random.normal(jax.random.key(3), k.shape)
    slope = (whole(k + step)[0] - whole(k - step)[0]) / 2
    np.testing.assert_allclose(jnp.sum(found[1] * step), slope, rtol=1e-6)
