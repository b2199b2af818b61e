"""The same training on one device, on eight, with divided parameters, and in two processes."""

import os
import socket
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax import RNN, Dense, scan, stack
from seqjax.batching import Shuffled, Stream
from seqjax.errors import ArgumentError
from seqjax.losses import squared_error
from seqjax.train import Mean, evaluate
from tests.test_style import ROOT
from tests.train.problems import Memory, compiled_programs, drawn, train

KEY, ADAM = jax.random.key(3), optax.adam(0.03)
MODEL = stack(RNN(8), Dense(1))
RNG = np.random.default_rng(0)
SERIES = [RNG.normal(size=(n, 1)).astype(np.float32) for n in (3, 7, 5, 7, 2, 6, 4, 7, 3, 5, 6)]
SOURCE = Shuffled(SERIES, None, 8, seed=1)  # 11 series: the second batch of an epoch has 5 empty rows
# Sums over 8 devices are taken in another order; after some steps of Adam that is a few float32 roundings.
NEAR = dict(rtol=2e-4, atol=2e-6)


def mesh_of(kind):
    return jax.make_mesh((8,), ("data",), axis_types=(kind,))


def loss(params, batch, key):
    _, ys = scan(MODEL, params, batch.inputs, lengths=batch.lengths)
    return Mean.of(squared_error(ys, batch.targets), batch.weights)


def trained(mesh=None, steps=5, params=None, **options):
    options = dict(steps=steps, clip=0.1, ema=0.9, every=3) | options
    return train(loss, drawn(MODEL, 1) if params is None else params, ADAM, SOURCE, mesh=mesh, **options)


@pytest.fixture(scope="module")
def alone():
    return trained()


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_eight_devices_train_as_one(alone, kind, caplog):
    mesh = mesh_of(kind)
    results = []
    names = compiled_programs(caplog, lambda: results.append(trained(mesh)))
    (result,) = results
    assert names.count("run") == 1
    chex.assert_trees_all_close(result.state.params, alone.state.params, **NEAR)
    chex.assert_trees_all_close(result.state.ema, alone.state.ema, **NEAR)
    for row, wanted in zip(result.history, alone.history, strict=True):
        chex.assert_trees_all_close([row["loss"], row["norm"]], [wanted["loss"], wanted["norm"]], **NEAR)
    assert all(len(leaf.sharding.device_set) == 8 for leaf in jax.tree.leaves(result.state))
    found = evaluate(loss, result.params, SOURCE, mesh=mesh)
    chex.assert_trees_all_close(found["loss"], evaluate(loss, jax.device_get(result.params), SOURCE)["loss"], rtol=1e-6)


def test_parameters_divided_as_asked_stay_so(alone):
    mesh, params = mesh_of(AxisType.Auto), drawn(MODEL, 1)
    divided = NamedSharding(mesh, PartitionSpec(None, "data"))
    params["0"]["mix"]["kernel"] = jax.device_put(params["0"]["mix"]["kernel"], divided)
    checkpoints = Memory()
    trained(mesh, 3, params, checkpoints=checkpoints)
    assert checkpoints.latest() == 3
    result = trained(mesh, params=params)
    chex.assert_trees_all_close(result.state.params, alone.state.params, **NEAR)
    state = result.state
    for tree in (state.params, state.ema, optax.tree.get(state.opt_state, "mu")):
        assert tree["0"]["mix"]["kernel"].sharding.spec == PartitionSpec(None, "data")
        assert tree["1"]["kernel"].sharding.is_fully_replicated
    another = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    with pytest.raises(ArgumentError, match=r"params\['0'\]\['mix'\]\['kernel'\] is divided over .* but mesh is"):
        trained(another, params=params)


def test_a_carry_is_divided_as_the_batch_is():
    stream = Stream(RNG.normal(size=(8 * 12 + 1, 1)).astype(np.float32), 8, 3)

    def begin(params, key):
        return MODEL.initial_carry(params, (8,))

    def streamed(params, batch, key, carry):
        carry, ys = scan(MODEL, params, batch.inputs, carry)
        return Mean.of(squared_error(ys, batch.targets), batch.weights), carry

    options = dict(steps=6, carry=begin)
    one, eight = (
        train(streamed, drawn(MODEL, 1), ADAM, stream, mesh=mesh, **options) for mesh in (None, mesh_of(AxisType.Auto))
    )
    chex.assert_trees_all_close(eight.state.params, one.state.params, **NEAR)
    (carry,) = jax.tree.leaves(eight.state.carry)
    assert carry.sharding.shard_shape(carry.shape) == (1, 8)


TWO_PROCESSES = """
import sys, jax
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", num_processes=2, process_id=int(sys.argv[2]))
import os, signal
import numpy as np
from tests.train import test_devices as part
from seqjax.train import Evaluation, evaluate
mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
score = lambda params: evaluate(part.loss, params, part.SOURCE, mesh=mesh)
result = part.trained(mesh, log=sys.argv[3], evaluation=Evaluation(score, every=3))
def stopped(params):
    if jax.process_index() == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return {"loss": 0.0}
ended = part.trained(mesh, 40, evaluation=Evaluation(stopped, every=4), every=6)
leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(result.state.params)]
print(ended.reason, int(ended.state.step), " ".join(float(x).hex() for x in np.concatenate(leaves)))
"""


@pytest.mark.slow
def test_two_processes_train_as_one(alone, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", TWO_PROCESSES, port]
    both = [
        subprocess.Popen([*command, str(i), str(tmp_path)], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for i in range(2)
    ]  # fmt: skip
    try:
        done = [process.communicate(timeout=240) for process in both]
    finally:
        for process in both:
            process.kill()
            process.wait()
    assert [process.returncode for process in both] == [0, 0], [err[-2000:] for _, err in done]
    (reason, step, *values), other = (out.splitlines()[-1].split() for out, _ in done)
    assert other == [reason, step, *values]
    assert (reason, step) == ("terminated", "6")  # asked of one process after 4 steps, agreed on at the next report
    wanted = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(alone.state.params)])
    chex.assert_trees_all_close(np.array([float.fromhex(v) for v in values]), wanted, **NEAR)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3  # of one process alone: after 3 steps the mean and the evaluation, after 5 the rest
