"""Scores of recurrent decoders against the papers' equations, key by key in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from seqjax.attention import additive, attend, concat, dot, general, init_score, location, monotonic, project_keys

B, S, D, E, F = 2, 5, 3, 4, 6
FUNCTIONS = {"additive": additive, "general": general, "concat": concat, "location": location, "monotonic": additive}


def bahdanau(p, q, keys, previous):
    """Appendix A.1.2 of Bahdanau et al. 2015."""
    return [p["v"] @ np.tanh(q @ p["query"] + k @ p["keys"]) for k in keys]


def luong_general(p, q, keys, previous):
    """Eq. 8 of Luong et al. 2015."""
    return [q @ p["kernel"] @ k for k in keys]


def luong_concat(p, q, keys, previous):
    return [p["v"] @ np.tanh(np.concatenate([q, k]) @ p["kernel"]) for k in keys]


def chorowski(p, q, keys, previous):
    """Eq. 9 of Chorowski et al. 2015, the convolution by NumPy."""
    f = np.stack([np.correlate(previous, row, mode="same") for row in p["filter"].T], axis=-1)
    inner = [q @ p["query"] + k @ p["keys"] + g @ p["location"] + p["bias"] for k, g in zip(keys, f)]
    return [p["v"] @ np.tanh(each) for each in inner]


def raffel(p, q, keys, previous):
    """Eq. 16 of Raffel et al. 2017."""
    v = p["scale"] * p["v"] / np.sqrt(np.sum(p["v"] ** 2))
    return [v @ np.tanh(q @ p["query"] + k @ p["keys"] + p["bias"]) + p["offset"] for k in keys]


PAPERS = {
    "additive": bahdanau, "general": luong_general, "concat": luong_concat, "location": chorowski, "monotonic": raffel,
}  # fmt: skip


def case(name, dtype=np.float64):
    """Parameters without zeros, a query, keys, and the arguments that the score takes besides."""
    rng = np.random.default_rng(0)
    params = init_score(name, jax.random.key(0), D, E, F, filters=2, width=3, dtype=dtype)
    params = {n: (np.asarray(p, float) + 0.1 * rng.normal(size=p.shape)).astype(dtype) for n, p in params.items()}
    previous = jax.nn.softmax(rng.normal(size=(B, S))).astype(dtype)
    rest = (previous,) if name == "location" else ()
    return params, rng.normal(size=(B, D)).astype(dtype), rng.normal(size=(B, S, E)).astype(dtype), rest


def wanted(name, params, query, keys, rest):
    params, query, keys = jax.tree.map(lambda a: np.asarray(a, float), (params, query, keys))
    previous = np.asarray(rest[0], float) if rest else [None] * B
    return np.stack([PAPERS[name](params, q, k, p) for q, k, p in zip(query, keys, previous)])


@pytest.mark.parametrize("name", PAPERS)
def test_the_paper(x64, name):
    """With the keys projected in the call and before it, for a batch and one row."""
    params, query, keys, rest = case(name)
    want = wanted(name, params, query, keys, rest)
    score = FUNCTIONS[name]
    np.testing.assert_allclose(score(params, query, keys, *rest), want, rtol=1e-12)
    projected = project_keys(name, params, keys)
    np.testing.assert_allclose(score(params, query, projected, *rest, projected=True), want, rtol=1e-12)
    np.testing.assert_allclose(score(params, query[0], keys[0], *(r[0] for r in rest)), want[0], rtol=1e-12)


@pytest.mark.parametrize("name", PAPERS)
def test_gradients_are_those_of_differences(x64, name):
    params, query, keys, rest = case(name)

    def loss(params, query, keys):
        return jnp.sum(jnp.sin(FUNCTIONS[name](params, query, keys, *rest)))

    args, rng = (params, query, keys), np.random.default_rng(1)
    step = jax.tree.map(lambda a: 1e-6 * rng.normal(size=a.shape), args)
    moved = lambda sign: loss(*jax.tree.map(lambda a, s: a + sign * s, args, step))
    gradient = jax.grad(loss, argnums=(0, 1, 2))(*args)
    slope = sum(np.sum(g * s) for g, s in zip(jax.tree.leaves(gradient), jax.tree.leaves(step)))
    np.testing.assert_allclose(slope, (moved(1) - moved(-1)) / 2, rtol=1e-6)


@pytest.mark.parametrize("name", PAPERS)
def test_bfloat16_costs_one_rounding(name):
    """In bfloat16 scores come in float32, within 1e-6 of float64 on the same numbers.

    But "general" rounds W q, and projected keys are rounded: 2^-8 and 2^-6 for scores of size 2.
    """
    params, query, keys, rest = case(name, jnp.bfloat16)
    want, score = wanted(name, params, query, keys, rest), FUNCTIONS[name]
    found = score(params, query, keys, *rest)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, want, atol=2**-8 if name == "general" else 1e-6)
    projected = project_keys(name, params, keys)
    assert projected.dtype == jnp.bfloat16
    np.testing.assert_allclose(score(params, query, projected, *rest, projected=True), want, atol=2**-6)


def test_dot(x64):
    rng = np.random.default_rng(0)
    query, keys = rng.normal(size=(2, 3, D)), rng.normal(size=(2, 3, S, D))
    np.testing.assert_allclose(dot(query, keys), (keys @ query[..., None])[..., 0], rtol=1e-12)
    assert init_score("dot", jax.random.key(0), 3, 3) == {} and project_keys("dot", {}, keys).shape == keys.shape


@pytest.mark.parametrize("name", [*PAPERS, "dot"])
def test_parameters_are_as_drawn(name):
    """Glorot bounds, and the paper's start of monotonic attention: scale 1/sqrt(F), and one goes on."""
    params = init_score(name, jax.random.key(3), D, D, 16)
    for part in params.keys() & {"query", "keys", "kernel", "v"}:
        bound = np.sqrt(6 / sum(params[part].shape)) if params[part].ndim == 2 else np.sqrt(6 / 17)
        assert 0.5 * bound < np.abs(params[part]).max() <= bound
    if name == "monotonic":
        assert params["scale"] == 0.25 and params["offset"] == -1 and not params["bias"].any()
    if name in ("location", "monotonic", "additive"):
        assert not np.array_equal(params["query"], params["keys"])


def test_a_step_on_a_mesh_of_explicit_axes():
    """All scores with their weights, rows over eight devices, as one device."""

    def step(query, keys, previous, real):
        outs = [attend(dot(query, keys), keys, real)]
        for name, score in FUNCTIONS.items():
            params = init_score(name, jax.random.key(0), 3, 3, 4, filters=2, width=3)
            scores = score(params, query, keys, *([previous] if name == "location" else []))
            outs.append(monotonic(scores, previous, real) if name == "monotonic" else attend(scores, keys, real))
        return outs

    keys = jax.random.normal(jax.random.key(1), (8, 5, 3))
    args = keys[:, 0], keys, jax.nn.softmax(keys[:, :, 0]), np.arange(40).reshape(8, 5) % 3 > 0
    want = jax.jit(step)(*args)
    mesh, rows = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,)), PartitionSpec("data")
    with jax.set_mesh(mesh):
        placed = jax.device_put(args, NamedSharding(mesh, rows))
        for f in (step, jax.shard_map(step, in_specs=rows, out_specs=rows)):
            found = jax.device_get(jax.jit(f)(*placed))
            jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), found, jax.device_get(want))
