"""Batches on devices, and rows from several processes."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from seqjax.batching import shard, to_devices
from seqjax.batching.batch import Batch
from seqjax.errors import ArgumentError, ArgumentTypeError
from tests.batching.makers import every_source, same
from tests.test_style import ROOT


def test_batches_go_to_devices():
    batch = every_source(8)["shuffled"].batch(0)
    mesh = jax.make_mesh((8,), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    for where, sharding in ((mesh, rows), (rows, rows), (jax.devices()[3], None), (None, None)):
        if where is jax.devices()[3]:
            where = jax.sharding.SingleDeviceSharding(where)
        there = to_devices(batch, where)
        same(jax.tree.map(np.asarray, there), batch)
        assert isinstance(there, Batch) and all(isinstance(leaf, jax.Array) for leaf in there)
        assert sharding is None or all(leaf.sharding == sharding for leaf in there)
    assert to_devices(batch).inputs.devices() == {jax.devices()[0]}
    with pytest.raises(ArgumentError, match=r"\(4,.*cannot be divided"):
        to_devices(every_source(4)["shuffled"].batch(0), mesh)
    with pytest.raises(ArgumentTypeError, match="found str"):
        to_devices(batch, "data")
    with pytest.raises(ArgumentTypeError, match="found 3"):
        to_devices({"x": 3}, mesh)
    with pytest.raises(ArgumentTypeError, match="found 3"):
        shard({"x": 3}, 0, 1)


TWO_PROCESSES = """
import sys, jax, numpy as np
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", num_processes=2, process_id=int(sys.argv[2]))
from jax.experimental.multihost_utils import process_allgather
from seqjax.batching import Shuffled, to_devices
source = Shuffled(np.arange(60).reshape(20, 3), np.arange(20), 4, seed=5)
mesh = jax.make_mesh((4,), ("data",))
for step in range(4):
    batch = to_devices(source.batch(step, jax.process_index(), jax.process_count()), mesh)
    assert batch.inputs.shape == (4, 3), batch.inputs.shape  # 2 rows from each process
    whole = process_allgather(batch, tiled=True)
    jax.tree.map(np.testing.assert_array_equal, whole, source.batch(step))
print("same")
"""


def test_two_processes_make_one_global_batch():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", TWO_PROCESSES, port]
    both = [
        subprocess.Popen([*command, str(i)], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for i in range(2)
    ]  # fmt: skip
    try:
        for process in both:
            out, err = process.communicate(timeout=120)
            assert out.endswith("same\n"), err[-2000:]
    finally:
        for process in both:
            process.kill()
            process.wait()
