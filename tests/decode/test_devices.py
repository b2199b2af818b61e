"""Rows of a batch on several devices: by a mesh of either kind of axes, set or not, and in a map over shards."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

from seqjax import decode
from tests.decode.models import prompts, start

ROWS = jax.P("data")
STRATEGIES = {
    "greedy": decode.greedy(),
    "beam": decode.beam(2),
    "sample": decode.sample(0.9, top_k=3),
    "diverse": decode.diverse(2, 2, 0.5),
    "constrained": decode.constrained(3, ((4,),)),
    "stochastic": decode.stochastic(3),
}
slow = lambda *values: pytest.param(*values, marks=pytest.mark.slow)
CASES = [
    ("rnn", "greedy"),
    ("rnn", "beam"),
    ("attending", "greedy"),
    *(slow("rnn", kind) for kind in STRATEGIES if kind not in ("greedy", "beam")),
    *(slow("transformer", kind) for kind in STRATEGIES),
]


def mesh_of(kind):
    return jax.make_mesh((8,), ("data",), axis_types=(kind,))


def spread(tree, mesh):
    return jax.tree.map(lambda a: jax.device_put(a, NamedSharding(mesh, ROWS)), tree)


def writer(cell, kind):
    """A function of arrays alone, for a ragged batch of eight rows."""

    def write(params, prompt, lengths, carry, key):
        found = decode.generate(
            cell, params, prompt, steps=3, strategy=STRATEGIES[kind], stop=2, lengths=lengths, carry=carry, key=key
        )
        return found.tokens

    return write


def rows_for(carry):
    return prompts(8, 3), np.array([1, 2, 3, 3, 2, 1, 2, 3]), carry, jax.random.split(jax.random.key(1), 8)


@pytest.mark.parametrize("name, kind", CASES)
def test_rows_on_several_devices(x64, name, kind):
    """Outside and inside `jit`, whether or not the mesh is set; the tokens lie where the prompt does."""
    cell, params, carry = start(name, 8, dtype=jnp.float64)
    args, write = rows_for(carry), writer(cell, kind)
    wanted = write(params, *args).tolist()
    for axes in AxisType.Explicit, AxisType.Auto:
        mesh = mesh_of(axes)
        placed = jax.device_put(params, NamedSharding(mesh, jax.P())), *spread(args, mesh)
        for context in contextlib.nullcontext(), jax.set_mesh(mesh):
            with context:
                assert write(*placed).tolist() == wanted
                tokens = jax.jit(write)(*placed)
            assert tokens.tolist() == wanted
            if axes is AxisType.Explicit:
                assert tokens.sharding.spec[0] == "data"


@pytest.mark.parametrize("name, kind", [("rnn", "greedy"), ("rnn", "beam"), slow("transformer", "greedy"),
                                        slow("transformer", "beam")])  # fmt: skip
def test_in_a_map_over_shards(name, kind):
    """Where prompts have one length, which is told of the shard alone."""
    cell, params, carry = start(name, 8)
    prompt, _, _, keys = rows_for(carry)
    args, write = (prompt, None, carry, keys), writer(cell, kind)
    mesh = mesh_of(AxisType.Explicit)
    with jax.set_mesh(mesh):
        mapped = jax.jit(jax.shard_map(write, in_specs=(jax.P(), ROWS, ROWS, ROWS, ROWS), out_specs=ROWS))
        assert mapped(params, *spread(args, mesh)).tolist() == write(params, *args).tolist()


def test_in_a_map_over_some_axes():
    """Of a mesh with two explicit axes one is mapped over, the other is not."""
    cell, params, _ = start("rnn", 8)
    write = lambda params, prompt: decode.generate(cell, params, prompt, steps=3).tokens
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        mapped = jax.shard_map(write, in_specs=(jax.P(), ROWS), out_specs=ROWS, axis_names={"data"})
        tokens = jax.jit(mapped)(params, spread(prompts(8, 3), mesh))
    assert tokens.tolist() == write(params, prompts(8, 3)).tolist()


@pytest.mark.parametrize("where", ["outside", "inside jit"])
def test_a_prompt_that_lies_nowhere(x64, where):
    """Tokens to begin with are an array of NumPy, and only parameters and the memory lie on the devices."""
    cell, params, carry = start("attending", 8, dtype=jnp.float64)
    begin = np.full(8, 3)
    write = lambda params, carry: decode.generate(cell, params, begin, steps=3, carry=carry).tokens
    mesh = mesh_of(AxisType.Explicit)
    placed = jax.device_put(params, NamedSharding(mesh, jax.P())), spread(carry, mesh)
    found = (jax.jit(write) if where == "inside jit" else write)(*placed)
    assert found.tolist() == write(params, carry).tolist()


@pytest.mark.parametrize("kind", ["greedy", "sample"])
@pytest.mark.parametrize("axes", [AxisType.Explicit, AxisType.Auto])
def test_a_stream_of_rows_on_several_devices(axes, kind):
    """With one key for all rows."""
    cell, params, _ = start("rnn", 8)
    prompt, options = prompts(8, 3), {"steps": 3, "strategy": STRATEGIES[kind], "key": jax.random.key(3)}
    wanted = decode.generate(cell, params, prompt, **options).tokens
    mesh = mesh_of(axes)
    placed = jax.device_put(params, NamedSharding(mesh, jax.P())), spread(prompt, mesh)
    written = np.stack(list(decode.stream(cell, *placed, **options)), axis=1)
    assert written.tolist() == wanted.tolist()
