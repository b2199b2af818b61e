"""One of two processes that save and restore together: python -m tests.checkpoint.processes FOLDER PORT PROCESS."""

import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import ArgumentTypeError, DataError
from seqjax.checkpoint import Checkpoints, load, save_model
from tests.checkpoint.training import MODEL


def tree(mesh, factor):
    def spread(array, *names):
        sharding = jax.NamedSharding(mesh, jax.P(*names))
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(5), 8)))
    return {
        "sharded": spread(np.arange(24, dtype=np.float32).reshape(8, 3) * factor, "data"),
        "columns": spread(np.arange(24, dtype=np.float32).reshape(3, 8) * factor, None, "data"),
        "whole": spread(np.full(3, factor, np.float32)),
        "keys": jax.random.wrap_key_data(spread(keys, "data")),
        "own": jnp.full(2, factor),
        "numpy": np.full(2, factor, np.float64),
        "empty": spread(np.zeros((0, 3), np.float32)),
        "count": 3,
    }


def equal(a, b):
    """Whether two leaves have the same type, the same values on this process, and lie on the same devices."""
    if type(a) is not type(b):
        return False
    if isinstance(a, int):
        return a == b
    if isinstance(a, jax.Array):
        if not a.sharding.is_equivalent_to(b.sharding, a.ndim) or a.committed != b.committed:
            return False
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        return a.dtype == b.dtype and np.array_equal(own_shards(a), own_shards(b))
    return a.dtype == b.dtype and np.array_equal(a, b)


def own_shards(array):
    return np.stack([np.asarray(shard.data) for shard in array.addressable_shards])


def assert_equal(found, wanted):
    chex.assert_trees_all_equal_comparator(equal, lambda a, b: f"{a!r}, {b!r}", found, wanted)


def main(folder, port, process):
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process)
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    checkpoints = Checkpoints(f"{folder}/run", keep=1)
    for step in (1, 2):
        checkpoints.save(step, tree(mesh, step), {"step": step})
        assert checkpoints.steps() == [step]
    step, found, meta = checkpoints.restore(tree(mesh, 0))
    assert (step, meta) == (2, {"step": 2})
    assert_equal(found, tree(mesh, 2))
    turned = jax.make_mesh(
        (jax.device_count() // 2, 2), ("model", "data"), axis_types=(jax.sharding.AxisType.Auto,) * 2
    )
    assert_equal(checkpoints.restore(tree(turned, 0))[1], tree(turned, 2))
    with pytest.raises(DataError, match="No such file" if process == 0 else "process 0 of 2 failed"):
        Checkpoints("/proc/no/such").save(3, tree(mesh, 1))
    with pytest.raises(ArgumentTypeError, match="float64"):
        checkpoints.restore(tree(mesh, 0) | {"numpy": np.zeros(2, np.float32)})
    with pytest.raises(DataError, match="there is no such folder" if process == 0 else "the first process says why"):
        Checkpoints(f"{folder}/nothing").restore(tree(mesh, 0))
    params = MODEL.init(jax.random.key(0), 0)
    save_model(f"{folder}/model", MODEL, params)
    model = load(f"{folder}/model")
    assert model.cell == MODEL
    assert_equal(model.params, params)
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
