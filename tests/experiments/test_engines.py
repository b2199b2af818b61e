"""The benchmark of engines, at a tiny size."""

from experiments.benchmarks.engines import CELLS, measure


def test_rows_of_all_engines():
    for cells in CELLS:
        rows = measure(cells, 2, 40, 3, runs=1)
        assert [row["engine"] for row in rows] == ["scan", "associative", "step"]
        assert rows[0]["time_over_scan"] == rows[0]["memory_over_scan"] == 1
        assert all(row["cpu_min_ms"] > 0 and row["compile_cpu_s"] > 0 for row in rows)
