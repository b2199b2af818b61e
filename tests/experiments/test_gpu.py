"""The benchmark of GPUs, run on the CPU at tiny sizes."""

import math

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmarks.gpu import __main__ as gpu
from experiments.benchmarks.gpu import worker
from experiments.benchmarks.peers import ours
from experiments.benchmarks.peers.work import Point, make_data, make_weights

POINT = {"work": "lstm", "call": "train", "batch_size": 2, "length": 5, "in_features": 3, "features": 4}


def test_every_point_is_asked_for_once():
    asked = list(gpu.points())
    assert len({(precision, *point.values()) for point, precision in asked}) == len(asked) == 9 * 9
    assert asked[0] == (POINT | dict(zip([*POINT][2:], (32, 128, 64, 128))), "tf32")


@pytest.mark.slow
def test_frameworks_agree(tmp_path):
    """On the CPU: cuDNN is not there and is left out, in a process that goes on."""
    asked = [(POINT, "float32"), (POINT | {"call": "forward"}, "float32"), (POINT, "bfloat16")]
    rows = gpu.main(600, tmp_path, 0.0, asked)
    others = [row for row in rows if row["framework"] != "seqjax"]
    assert {row["framework"] for row in others} >= {"linen"}
    assert all(row["difference"] < (1e-5 if row["precision"] == "float32" else 0.05) for row in others)
    assert ("cudnn" in {row["framework"] for row in rows}) == (jax.default_backend() == "gpu")
    assert (tmp_path / "benchmark_gpu.csv").exists()


@pytest.mark.parametrize("call", ["train", "forward"])
def test_ours_in_this_process(call):
    found = worker.answer("seqjax", "tf32", 0.0, **POINT | {"call": call})
    assert found["runs"] == 5
    assert 0 < found["min_ms"] <= found["median_ms"]
    ys = outputs_of_ours()
    assert math.isclose(found["value"], float(jnp.sum(ys * ys)), rel_tol=1e-5)


def outputs_of_ours():
    point = Point(**POINT)
    model = ours.make(point)
    own = model.own(jax.tree.map(jnp.asarray, make_weights(point)))
    return model.apply(own, jnp.asarray(make_data(point).xs), None)


def test_what_is_not_there_is_said():
    assert "it runs LSTM alone" in worker.answer("cudnn", "tf32", 0.0, **POINT | {"work": "gru"})["left_out"]
    assert "not measured in float16" in worker.answer("seqjax", "float16", 0.0, **POINT)["left_out"]
