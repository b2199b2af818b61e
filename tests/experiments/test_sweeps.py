"""The benchmark of sweeps, at a tiny size."""

import seqjax as sj
from experiments.benchmarks import sweeps


def test_rows_of_one_and_two_members(monkeypatch):
    monkeypatch.setattr(sweeps, "STEPS", 5)
    alone, swept, at_once = sweeps.measure(sj.RNN(3), 2, (2,))
    assert [row["way"] for row in (alone, swept, at_once)] == ["alone", "sweep", "vmap"]
    assert (alone["members"], alone["cpu_per_member"], alone["wall_per_member"]) == (1, 1, 1)
    for row in (swept, at_once):
        assert row["members"] == 2
        assert row["wall_per_member"] == row["wall_min_ms"] / (2 * alone["wall_min_ms"])
