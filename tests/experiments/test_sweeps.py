"""The benchmark of sweeps, at a tiny size."""

import seqjax as sj
from experiments.benchmarks import sweeps


def test_rows_of_one_and_two_members(monkeypatch):
    monkeypatch.setattr(sweeps, "STEPS", 5)
    one, two = sweeps.measure(sj.RNN(3), 2, (1, 2))
    assert (one["members"], one["cpu_per_member"], one["wall_per_member"]) == (1, 1, 1)
    assert two["members"] == 2
    assert two["wall_per_member"] == two["wall_min_ms"] / (2 * one["wall_min_ms"])
