"""Sinusoidal, rotary and learned positions against the formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax.attention import alibi, learned, relative, rotary, shaw, sinusoidal

FAR = np.array([0, 1, 2, 999, 4096, 65_537, 100_000, 1_000_000])


def sinusoids(positions, features, base=10_000.0):
    """Vaswani et al. 2017, section 3.5, one number at a time."""
    table = np.zeros((len(positions), features))
    for row, p in zip(table, positions):
        for i in range(features // 2):
            row[2 * i], row[2 * i + 1] = np.sin(p / base ** (2 * i / features)), np.cos(p / base ** (2 * i / features))
    return table


def turned(x, positions, base=10_000.0, scaling=1.0):
    """Pairs as complex numbers, times e^{i angle}; x [T, N, H]."""
    half = x.shape[-1] // 2
    pairs = x[..., :half].astype(np.float64) + 1j * x[..., half:]
    angles = positions[:, None] / scaling * base ** (-2 * np.arange(half) / x.shape[-1])
    pairs = pairs * np.exp(1j * angles)[:, None, :]
    return np.concatenate([pairs.real, pairs.imag], axis=-1)


def test_sinusoidal_is_exact_at_far_positions():
    """In float32 too: 3e-7, where float32 angles are off by 0.006 at position 100,000."""
    np.testing.assert_allclose(sinusoidal(FAR, 8), sinusoids(FAR, 8), atol=3e-7)
    np.testing.assert_allclose(sinusoidal(-FAR, 8, base=100.0), sinusoids(-FAR, 8, 100.0), atol=3e-7)


def test_sinusoidal_of_any_axes_and_dtype(x64):
    positions = np.arange(6).reshape(2, 3)
    found = sinusoidal(positions, 4, dtype=jnp.float64)
    np.testing.assert_allclose(found.reshape(6, 4), sinusoids(range(6), 4), atol=1e-15)
    assert sinusoidal(jnp.array(3), 4).shape == (4,) and sinusoidal(positions, 4).dtype == jnp.float32
    assert sinusoidal(positions, 4, dtype=jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize(("dtype", "error"), [(jnp.float32, 2e-6), (jnp.bfloat16, 2**-7)])
def test_rotary_is_exact_at_far_positions(dtype, error):
    """In float32 within 2e-6, in bfloat16 within the rounding of the result, of numbers of size 4 at most."""
    x = jax.random.uniform(jax.random.key(0), (len(FAR), 2, 8), dtype, -2, 2)
    found = rotary(x, FAR, base=500.0, scaling=4.0)
    assert found.dtype == dtype
    want = turned(np.asarray(x.astype(jnp.float32)), FAR, 500.0, 4.0)
    np.testing.assert_allclose(found.astype(jnp.float32), want, atol=error)


def test_rotary_with_batch_axes(x64):
    x, positions = np.random.default_rng(0).normal(size=(2, 3, 5, 2, 4)), np.arange(30).reshape(2, 3, 5) % 7
    want = np.stack([turned(a, p) for a, p in zip(x.reshape(6, 5, 2, 4), positions.reshape(6, 5))])
    np.testing.assert_allclose(rotary(x, positions).reshape(want.shape), want, atol=1e-14)
    np.testing.assert_array_equal(rotary(x, positions[0, 0]), rotary(x, np.broadcast_to(positions[0, 0], (2, 3, 5))))


@given(shift=st.integers(0, 200_000), q_at=st.integers(0, 2000), k_at=st.integers(0, 2000))
def test_rotary_products_depend_on_differences_alone(shift, q_at, k_at):
    q, k = jax.random.normal(jax.random.key(1), (2, 1, 1, 16))
    product = lambda p, s: float(jnp.sum(rotary(q, jnp.array([p])) * rotary(k, jnp.array([s]))))
    size = float(jnp.linalg.norm(q) * jnp.linalg.norm(k))
    assert abs(product(q_at + shift, k_at + shift) - product(q_at, k_at)) < 1e-6 * size


def test_scaling_fits_more_positions_into_the_same_angles(x64):
    x = np.random.default_rng(0).normal(size=(4, 1, 6))
    np.testing.assert_allclose(rotary(x, 8 * np.arange(4), scaling=8.0), rotary(x, np.arange(4)), atol=1e-14)


def test_learned_rows_get_gradients_and_no_other_is_read():
    table, positions = jnp.arange(6.0).reshape(3, 2), jnp.array([[1, 1], [2, 0]])
    np.testing.assert_array_equal(learned(table, positions), np.asarray(table)[np.asarray(positions)])
    gradient = jax.grad(lambda t: jnp.sum(learned(t, positions) @ jnp.array([1.0, 10.0])))(table)
    np.testing.assert_array_equal(gradient, [[1, 10], [2, 20], [1, 10]])
    assert np.isnan(learned(table, jnp.array([-1, 3]))).all()


def test_on_a_mesh_of_explicit_axes():
    """Rows over eight devices, all that is made of positions."""
    table = jnp.arange(32.0).reshape(8, 4) / 8

    def run(x, positions):
        q = rotary(x, positions)
        biases = [b.scores(q, positions, positions) for b in (alibi(2), relative(table[:, :2]), shaw(table[:3]))]
        return [q, sinusoidal(positions, 4), learned(table, positions), *biases]

    args = jax.random.normal(jax.random.key(0), (8, 3, 2, 4)), jnp.arange(24).reshape(8, 3) % 5
    want = jax.jit(run)(*args)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        placed = jax.device_put(args, NamedSharding(mesh, PartitionSpec("data")))
        found = jax.jit(run)(*placed)
        rows = PartitionSpec("data")
        mapped = jax.jit(jax.shard_map(run, in_specs=rows, out_specs=rows))(*placed)
    for a, b, c in zip(found, want, mapped):
        assert a.sharding.spec[0] == "data"
        np.testing.assert_allclose(jax.device_get(a), b, atol=1e-6)
        np.testing.assert_allclose(jax.device_get(c), b, atol=1e-6)
