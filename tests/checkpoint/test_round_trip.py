"""Trees come back bit for bit, with other numbers of devices and processes too."""

import math
import os
import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
pytest.importorskip("optax", reason="optax is not installed (extra train)")

from seqjax.checkpoint import Checkpoints
from tests.checkpoint.trees import assert_same_bits, zeros_like


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_stopping_and_going_on_is_the_same_as_going_on(tmp_path, dtype):
    from tests.checkpoint.training import MODEL, start, train

    with jax.enable_x64(dtype == "float64"):
        state = start(MODEL, jnp.dtype(dtype))
        for position in range(3):
            if position == 2:
                Checkpoints(tmp_path).save(2, state, {"position": position})
            state = train(MODEL, state)
        step, again, meta = Checkpoints(tmp_path).restore(start(MODEL, jnp.dtype(dtype)))
        assert (step, meta) == (2, {"position": 2})
        assert str(jax.tree.leaves(again.params)[0].dtype) == dtype
        assert_same_bits(train(MODEL, again), state)


class Empty(NamedTuple):
    """A state without leaves, as optax has them."""


def test_every_kind_of_leaf_comes_back(tmp_path):
    floats = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1 / 3])
    payload = np.array([0x7FC00123, 0xFF800001], np.uint32).view(np.float32)
    tree = {
        "a.b": jnp.arange(3),
        "a": {"b": jnp.arange(2), "/": jnp.zeros(1), "..": jnp.ones(1), "": jnp.float32(7)},
        "keys": [jax.random.key(0), jax.random.split(jax.random.key(1, impl="rbg"), (2, 3)), jax.random.PRNGKey(3)],
        "python": [3, 2**70, True, False, 1 / 3, math.nan, -math.inf, "text", "", None],
        "scalars": [np.float32(0.1), np.int64(2**40), np.bool_(True)],
        "numpy": [floats, payload, np.arange(6).reshape(2, 3)[:, ::2], np.asfortranarray(np.ones((2, 3)))],
        "zeros": [
            -np.zeros(4, np.float32),
            np.zeros((0, 3)),
            jnp.zeros((2, 0)),
            jax.random.split(jax.random.key(0))[:0],
        ],
        "empty": [(), {}, Empty(), None],
        "on purpose": jax.device_put(jnp.ones(3), jax.devices()[3]),
        7: (jnp.float32(1),),
    }
    tree = {str(k): v for k, v in tree.items()} | {"types": [
        np.array([0, 1, -1]).astype(t) for t in ("int8", "int16", "int4", "bool", "float16", "bfloat16", "float8_e4m3fn", "complex64", "complex128")
    ]}  # fmt: skip
    Checkpoints(tmp_path).save(0, tree)
    step, found, meta = Checkpoints(tmp_path).restore(zeros_like(tree))
    assert_same_bits(found, tree)
    assert (step, meta) == (0, {})


def test_trees_without_arrays_and_bare_leaves(tmp_path):
    for step, tree in enumerate([(), {"n": 3}, jnp.arange(3), None, 5]):
        Checkpoints(tmp_path).save(step, tree)
        assert_same_bits(Checkpoints(tmp_path).restore(tree)[1], tree)


def test_what_is_restored_can_be_donated(tmp_path):
    Checkpoints(tmp_path).save(0, {"x": jnp.arange(4.0)})
    _, tree, _ = Checkpoints(tmp_path).restore({"x": jnp.zeros(4)})
    twice = jax.jit(lambda t: jax.tree.map(lambda x: 2 * x, t), donate_argnums=0)(tree)
    assert twice["x"].tolist() == [0, 2, 4, 6]
    assert tree["x"].is_deleted()


def test_another_number_of_devices(tmp_path):
    keys = jax.random.split(jax.random.key(1), 8)
    plain = {"a": np.arange(48, dtype=np.float32).reshape(8, 6), "k": keys, "n": np.arange(8)}

    def on(count):
        if count == 0:
            return {"a": jnp.asarray(plain["a"]), "k": keys, "n": plain["n"]}
        mesh = jax.make_mesh(
            (count,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:count]
        )
        sharding = jax.NamedSharding(mesh, jax.P("data"))
        return {"a": jax.device_put(plain["a"], sharding), "k": jax.device_put(keys, sharding), "n": plain["n"]}

    tree = on(8)
    for step, count in enumerate([1, 8, 4, 0, 8]):
        Checkpoints(tmp_path).save(step, tree)
        tree = Checkpoints(tmp_path).restore(zeros_like(on(count)))[1]
        assert_same_bits(tree, on(count))


def test_a_template_of_shapes(tmp_path):
    tree = {"a": jnp.arange(3.0), "k": jax.random.split(jax.random.key(0)), "n": 4}
    Checkpoints(tmp_path).save(0, tree)
    assert_same_bits(
        Checkpoints(tmp_path).restore(jax.eval_shape(lambda: {k: tree[k] for k in "ak"}) | {"n": 0})[1], tree
    )


@pytest.mark.slow
def test_processes_save_and_restore_together(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    words = [sys.executable, "-m", "tests.checkpoint.processes", str(tmp_path), str(port)]
    both = [subprocess.Popen([*words, str(i)], env=env, stdout=-1, stderr=-2, text=True) for i in range(2)]
    try:
        texts = [process.communicate(timeout=240)[0] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [text.strip().split("\n")[-1] for text in texts] == ["done", "done"], "\n".join(texts)
    alone = {
        "sharded": jnp.zeros((8, 3)),
        "columns": jnp.zeros((3, 8)),
        "whole": jnp.zeros(3),
        "own": jnp.zeros(2, int),
    }
    rest = {
        "keys": jax.random.split(jax.random.key(0), 8),
        "numpy": np.zeros(2),
        "empty": jnp.zeros((0, 3)),
        "count": 0,
    }
    step, tree, _ = Checkpoints(tmp_path / "run").restore(alone | rest)
    assert step == 2
    assert tree["sharded"].tolist() == (2 * np.arange(24.0).reshape(8, 3)).tolist()
    assert (jax.random.key_data(tree["keys"]) == jax.random.key_data(jax.random.split(jax.random.key(5), 8))).all()
