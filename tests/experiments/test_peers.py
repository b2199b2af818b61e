"""The benchmark against peers: its arithmetic, its turns, and that what is compared is the same."""

import csv
import dataclasses
import sys

import jax
import numpy as np
import pytest

from experiments.benchmarks.peers import __main__ as command
from experiments.benchmarks.peers import linen, measure, nnx, ours, processes, ratios
from experiments.benchmarks.peers.flows import Flow
from experiments.benchmarks.peers.frameworks import FRAMEWORKS
from experiments.benchmarks.peers.model import Program, regroup
from experiments.benchmarks.peers.work import GATES, WORKS, NotOffered, Point, make_data, make_weights, real_steps
from experiments.collect import update

TINY = Point("lstm", "train", 2, 5, 3, 4, lengths=True)
MAKERS = {"linen": linen.make, "nnx": nnx.make, "step alone": ours.make_step_alone}


def test_turns_alternate_and_each_begins_with_another():
    log = []
    programs = {name: lambda name=name: log.append(name) or {"cpu": [1.0], "wall": [2.0]} for name in "abc"}
    times = ratios.take_turns(programs, 4)
    assert "".join(log) == "abcbcacababc"
    assert times == {name: {"cpu": [1.0] * 4, "wall": [2.0] * 4} for name in "abc"}


def test_ratios_are_of_the_least_times():
    columns = ratios.timing_columns({"cpu": [4.0, 9.0, 5.0], "wall": [8.0, 8.0]}, {"cpu": [2.0, 7.0], "wall": [12.0]})
    assert columns == {
        "ours_over_it_cpu": 0.5, "cpu_min_ms": 4.0, "cpu_median_ms": 5.0,
        "ours_over_it_wall": 1.5, "wall_min_ms": 8.0, "wall_median_ms": 8.0,
    }  # fmt: skip


def test_geometric_mean():
    assert ratios.geometric_mean([0.25, 1.0]) == pytest.approx(0.5)
    values = np.random.default_rng(0).uniform(0.1, 3.0, 9)
    assert ratios.geometric_mean(values) == pytest.approx(np.prod(values) ** (1 / 9))
    assert ratios.geometric_mean(values) * ratios.geometric_mean(1 / values) == pytest.approx(1.0)


def test_the_summary_is_over_shapes_and_takes_the_fastest_at_each():
    """Torch is no framework on JAX, and neither of ours is a peer."""

    def row(framework, ratio, length):
        sizes = {"batch_size": 1, "length": length, "in_features": 2, "features": 2, "lengths": False}
        return {"work": "gru", "call": "train", "framework": framework, "ours_over_it_cpu": ratio} | sizes

    first = [row("seqjax", 1.0, 9), row("linen", 0.5, 9), row("keras", 0.9, 9), row("torch", 1.2, 9)]
    second = [row("seqjax", 1.0, 8), row("seqjax_step", 3.0, 8), row("linen", 0.8, 8), row("keras", 0.2, 8)]
    head = {"work": "gru", "call": "train"}
    assert ratios.summarise(first + second) == [
        head | {"ours_over": "fastest JAX", "mean": pytest.approx((0.9 * 0.8) ** 0.5), "worst": 0.9, "points": 2},
        head | {"ours_over": "keras", "mean": pytest.approx((0.9 * 0.2) ** 0.5), "worst": 0.9, "points": 2},
        head | {"ours_over": "linen", "mean": pytest.approx((0.5 * 0.8) ** 0.5), "worst": 0.8, "points": 2},
        head | {"ours_over": "torch", "mean": pytest.approx(1.2), "worst": 1.2, "points": 1},
    ]


def test_the_summary_of_what_has_no_shape():
    row = {"work": "import", "call": "import", "framework": "linen", "ours_over_it_cpu": 0.5}
    means = [(found["ours_over"], found["mean"]) for found in ratios.summarise([row])]
    assert means == [("fastest JAX", 0.5), ("linen", 0.5)]


def test_differences_are_relative_to_the_largest_of_each_array():
    wanted = {"a": np.array([0.0, -8.0]), "zero": np.zeros(2)}
    found = {"a": np.array([2.0, -8.0]), "zero": np.array([0.0, 0.5])}
    assert ratios.find_differences(found, wanted) == {"a": 0.25, "zero": 0.5}
    with pytest.raises(ValueError, match=r"b has the shape \(2,\), wanted \(0,\)"):
        ratios.find_differences({"b": np.zeros(2)}, wanted)
    with pytest.raises(ValueError, match="no numbers to compare"):
        ratios.find_differences({}, wanted)


def test_outputs_are_compared_in_real_steps_alone(capsys):
    """And who differs, or gives what is no number, is left out and named."""
    point = dataclasses.replace(TINY, call="forward")
    real = real_steps(point, make_data(point))
    assert 0 < real.sum() < real.size
    wanted = np.ones((2, 5, 4))
    padded = np.where(real[..., None], wanted, 7.0)
    assert measure.compare("x", {"outputs": padded}, {"outputs": wanted}, point) == 0.0
    assert not capsys.readouterr().out
    for wrong in (1.001 * wanted, np.full_like(wanted, np.nan)):
        assert measure.compare("x", {"outputs": wrong}, {"outputs": wanted}, point) is None
        assert "x is left out: its outputs differ by" in capsys.readouterr().out


def test_a_part_of_the_table_is_replaced_point_by_point(tmp_path):
    """All frameworks of a point, as their ratios are to ours of that run; points with other cores stay."""
    old = [
        {"work": "gru", "call": "train", "length": 9, "lengths": False, "framework": f, "cores_used": c, "x": 0.1}
        for f in ("seqjax", "keras")
        for c in (1, 2)
    ]
    points = ("work", "call", "length", "cores_used")
    update("t", [*old, {"work": "import", "call": "import", "framework": "keras", "cores_used": 1}], points, tmp_path)
    with update("t", [{**old[0], "x": 0.3}], points, tmp_path).open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["work"], row["framework"], row["cores_used"], row["x"]) for row in rows] == [
        ("gru", "seqjax", "2", "0.1"), ("gru", "keras", "2", "0.1"), ("import", "keras", "1", ""),
        ("gru", "seqjax", "1", "0.3"),
    ]  # fmt: skip


def test_every_process_makes_the_same_data():
    for work in WORKS:
        point = dataclasses.replace(TINY, work=work)
        weights = [jax.tree.leaves(make_weights(point)) for _ in range(2)]
        assert all(np.array_equal(a, b) for a, b in zip(*weights))
        assert all(a.dtype == np.float32 for a in weights[0])
        assert make_data(point).lengths.max() == point.length
    assert make_weights(TINY)["kernel"].shape == (3, GATES["lstm"] * 4)


def test_regroup():
    a = np.arange(6.0)
    assert regroup(a, "-u r n", "run").tolist() == [-2.0, -3.0, 0.0, 1.0, 4.0, 5.0]


def differences(make, point):
    """Those of a framework from ours, in loss, gradients and outputs."""
    own = Program(ours.make(point), point).numbers()
    found = Program(make(point), point).numbers()
    assert own.keys() - found.keys() <= {"weights.hidden_bias"}
    return ratios.find_differences(found, own)


def test_flax_gives_our_loss_and_gradients():
    found = differences(linen.make, TINY)
    assert set(found) == {"loss", "inputs.0", "weights.bias", "weights.kernel", "weights.recurrent"}
    assert max(found.values()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("name", MAKERS)
def test_flax_gives_our_numbers_in_every_work(name, work):
    for call, lengths in (("train", False), ("train", True), ("forward", False)):
        point = dataclasses.replace(TINY, work=work, call=call, lengths=lengths)
        try:
            assert max(differences(MAKERS[name], point).values()) < 1e-5
        except NotOffered:
            assert work == "gru_before" or (name == "step alone" and work != "own")


def test_flows_are_the_same():
    """Ours and Flax's norms of the gradient in every carry."""
    point = dataclasses.replace(TINY, call="flow", lengths=False)
    own = Flow(ours, point).numbers()
    assert own["norms"].shape == (2, 5) and np.all(own["norms"] > 0)
    for found in (Flow(linen, point), Flow(nnx, point)):
        assert ratios.find_differences(found.numbers(), own)["norms"] < 1e-5
    with pytest.raises(NotOffered, match="without lengths"):
        Flow(linen, TINY)


def test_a_process_that_ends_is_said_and_left_out(capsys):
    with processes.started(["haiku"], {"haiku": "/bin/false"}, [0]) as (found, versions):
        assert found == versions == {}
    assert capsys.readouterr().out == "haiku is left out: it ended with 1\n"


def test_wrong_words_of_the_command(capsys):
    for words, message in (
        (["--works", "transformer"], "invalid choice: 'transformer'"),
        (["--peers", "tensorflow"], "invalid choice: 'tensorflow'"),
        (["--calls", "backward"], "invalid choice: 'backward'"),
        (["--shapes", "1,2,3"], "invalid shape_of value: '1,2,3'"),
        (["--turns", "many"], "invalid int value: 'many'"),
    ):
        with pytest.raises(SystemExit):
            command.main(words)
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_in_processes(monkeypatch, capsys):
    """One point of ours, of Flax and, where it is installed, of torch; what is not installed is said."""
    monkeypatch.setattr(command, "write", lambda name, rows: written.append((name, rows)))
    written = []
    words = ["--peers", "linen", "haiku", "torch", "--works", "gru", "--calls", "train", "--lengths", "with"]
    rows = command.main([*words, "--shapes", "2,5,3,4", "--turns", "2", "--runs", "1", "--seconds", "0"])
    names = [row["framework"] for row in rows]
    assert names[:2] == ["seqjax", "linen"]
    assert set(names) <= set(FRAMEWORKS)
    assert all(row["runs"] == 2 and row["difference"] < 1e-5 for row in rows)
    name, stored = written[-1]
    assert name == "benchmark_peers"
    assert stored[1]["version"].startswith("flax ")
    assert stored[0]["python"] == sys.version.split()[0]
    text = capsys.readouterr().out
    assert ("haiku" in names) != ("haiku is left out: ModuleNotFoundError" in text)
