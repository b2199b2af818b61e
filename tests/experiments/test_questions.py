"""Each experiment at tiny settings, and its options."""

import importlib

import numpy as np
import pytest

import seqjax as sj
from experiments.harness import records
from experiments.harness.run import Run
from tests.test_style import ROOT

LENGTHS = {"longest": 3, "test_longest": 6, "tests": 2, "steps": 2, "batch_size": 4, "members": 2, "evaluation": 2}
TINY = {
    "adding": {"cell": ("RNN(2)",), "length": 6, "steps": 2, "batch_size": 4, "every": 1, "evaluation": 10},
    "copy_memory": {"cell": ("GRU(2)",), "delay": 3, "steps": 2, "batch_size": 4, "every": 1, "evaluation": 10},
    "temporal_order": {"lengths": (10,), "steps": 2, "units": 16, "batch_size": 4, "every": 1, "evaluation": 10},
    "sequential_digits": {"cell": ("LSTM(2)",), "permuted": True, "batch_size": 8, "epochs": 1},
    "char_lm": {"cell": ("RNN(3)", "LSTM(3)"), "parameters": 500, "batch_size": 4, "length": 8, "steps": 4, "every": 2},
    "polyphonic_music": {"cell": ("RNN(2)",), "batch_size": 4, "epochs": 2},
    "chomsky": {"tasks": ("reverse",), "cell": ("RNN(2)",), **LENGTHS},
    "hybrid": {"tasks": ("recall",), "cell": ("GRU, attention",), **LENGTHS},
    "transformer_vs_rnn": {
        "cell": ("RNN(4)", "as_cell(TransformerBlock, 4, 2, capacity=16)"), "embedding": 4, "length": 8, "lengths": (4,),
        "batch_size": 2, "steps": 2, "members": 2, "turns": 1,
    },
    "reverse": {
        "steps": 2, "members": 1, "pairs": 8, "held_out": 3, "batch_size": 4, "every": 1, "lengths": (2,), "evaluation": 2,
    },
    "bottleneck": {
        "decoders": ("fixed",), "symbols": 3, "longest": 3, "test_longest": 4, "parameters": 1000, "steps": 2,
        "batch_size": 4, "members": 2, "evaluation": 2,
    },
    "exposure_bias": {
        "policies": ("linear", "curriculum"), "symbols": 3, "longest": 3, "width": 4, "steps": 2, "batch_size": 4,
        "members": 2, "evaluation": 2,
    },
    "date_normalisation": {
        "decoders": ("fixed", "additive"), "parameters": 2000, "pairs": 40, "held_out": 20, "evaluation": 4, "steps": 2,
        "batch_size": 4, "members": 2,
    },
    "arithmetic": {
        "policies": ("naive", "combined"), "digits": 2, "width": 4, "steps": 2, "batch_size": 4, "members": 2,
        "evaluation": 3,
    },
    "translation": {
        "models": ("gru", "transformer"), "vocabulary": 270, "width": 4, "embedding": 4, "layers": 1, "epochs": 1,
        "batch_size": 4, "beams": 2,
    },
    "vanishing": {"cell": ("RNN(2)", "GRU(2)"), "length": 8, "batch_size": 2},
    "gradient_over_training": {
        "cell": ("RNN(2)", "LSTM(2)"), "embedding": 2, "batch_size": 2, "length": 6, "window": 12, "steps": 4, "every": 2,
    },
    "gradient_vs_success": {
        "tasks": ("temporal_order",), "cell": ("RNN(2)",), "order_length": 10, "steps": 2, "batch_size": 4, "members": 2,
        "evaluation": 4,
    },
    "depth_and_direction": {
        "readings": ("keys",), "both": ("bidirectional(RNN(W))",), "parameters": 600, "length": 6, "steps": 2,
        "batch_size": 2, "members": 2, "measured": 2, "evaluation": 2,
    },
    "million_steps": {"cell": ("RNN(2)",), "length": 1000, "updates": (1, 0, 0, 1), "batch_size": 2},
    "exploding": {
        "scales": (1.0, 2.0), "methods": ("value", "omega+norm"), "rates": (0.1,), "units": 4, "length": 6, "batch_size": 2,
        "steps": 2, "reach": 8, "members": 1,
    },
    "forget_bias": {
        "cell": ("GRU(2)",), "bias": (1.0,), "lengths": (4,), "reach": 20, "steps": 2, "batch_size": 2, "evaluation": 2,
        "members": 2,
    },
    "efficiency": {"cell": ("RNN", "LSTM"), "widths": (2, 3), "lengths": (4,), "batch_size": 2, "turns": 1},
}  # fmt: skip


WITHOUT_VALIDATION = ("efficiency", "vanishing", "gradient_over_training", "depth_and_direction", "million_steps")
"""They train nothing, choose nothing by validation, or have it in a row of its own."""

SLOW = (
    "hybrid",
    "transformer_vs_rnn",
    "reverse",
    "temporal_order",
    "polyphonic_music",
    "bottleneck",
    "exposure_bias",
    "date_normalisation",
    "arithmetic",
    "translation",
    "gradient_vs_success",
    "depth_and_direction",
    "exploding",
    "forget_bias",
)  # they compile each model several times


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in TINY])
def test_tiny_run(small_data, name, capsys, monkeypatch):
    if name in ("reverse", "translation"):
        pytest.importorskip("sacrebleu", reason="sacrebleu is not installed (extra: metrics)")
    module = importlib.import_module(f"experiments.{name}")
    summary = module.main(module.Config(**TINY[name]))
    said = capsys.readouterr().out
    ((record,), damaged) = records.every(small_data / "runs")
    assert record.status == "done"
    assert record.rows == summary["rows"]
    settings = {(*(row[column] for column in summary["by"]), row.get("seed")) for row in record.rows}
    assert len(settings) == len(record.rows)
    for row in record.rows:
        assert np.isfinite(row[summary["measure"]])
        assert row["parameters"] > 0
        assert name in WITHOUT_VALIDATION or np.isfinite(row[f"valid_{summary['measure']}"])
    first, *others = [tuple(row[column] for column in summary["by"]) for row in record.rows]
    alike = [row[summary["measure"]] for row, setting in zip(record.rows, [first, *others]) if setting == first]
    assert any(f"{value:.4g}"[:4] in said for value in (alike[0], np.mean(alike)))
    assert all(
        (path.with_suffix(kind)).stat().st_size for path in record.folder.glob("plots/*") for kind in (".png", ".svg")
    )
    assert list(record.folder.glob("plots/*.png"))
    monkeypatch.setattr(Run, "record", lambda *_: pytest.fail("work was done again"))
    assert module.main(module.Config(**TINY[name])) == summary


def test_every_experiment_is_tried_and_listed():
    scripts = {path.stem for path in (ROOT / "experiments").glob("*.py") if "\nclass Config" in path.read_text()}
    assert scripts == TINY.keys() | {"gradient_norms"}
    text = (ROOT / "experiments/README.md").read_text()
    for name in scripts:
        assert f"experiments.{name}" in text, f"experiments/README.md has no row for {name}"


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("temporal_order", {"methods": ("Adam",)}, "methods must be of SGD, SGD-C, SGD-CR, found 'Adam'"),
        ("temporal_order", {"lengths": (3,)}, "length must be a whole number of at least 10"),
        ("adding", {"length": 1}, "length must be a whole number of at least 2"),
        ("adding", {"cell": ("LTSM(3)",)}, "Perhaps you meant 'LSTM'"),
        ("copy_memory", {"delay": 0}, "length must be a whole number of at least 21"),
        ("sequential_digits", {"data": "imdb"}, "data must be one of digits, mnist"),
        ("polyphonic_music", {"data": "mnist"}, "data must be one of jsb_chorales, nottingham"),
        ("polyphonic_music", {"cell": ("bidirectional(GRU(2))",)}, "it sees what it is to predict"),
        ("copy_memory", {"cell": ("stack(Dropout(0.5), GRU(2))",)}, "draw no random numbers"),
        ("char_lm", {"characters": 10}, "a split has 10, expected at least"),
        ("adding", {"clip": float("inf")}, "clip must be above 0"),
        ("adding", {"steps": 0}, "steps must be above 0 and below 2.31, found 0"),
        ("adding", {"seed": -1}, "seed must be a whole number of at least 0, found -1"),
        ("chomsky", {"tasks": ("adding",)}, "tasks: adding is not of the paper; choose of even_pairs"),
        ("chomsky", {"tasks": ("parrity",)}, "Perhaps you meant 'parity'"),
        ("chomsky", {"test_longest": 40}, "test_longest must be above longest, found 40 and 40"),
        ("chomsky", {"cell": ("stack(Dropout(0.5), RNN(2))",)}, "need neither random numbers nor a memory"),
        ("hybrid", {"tasks": ("reverse",)}, "tasks must be of recall, copy, parity, found 'reverse'"),
        ("transformer_vs_rnn", {"cell": ("bidirectional(GRU(2))",)}, "must read vectors step by step"),
        ("bottleneck", {"decoders": ("location",)}, "decoders must be of fixed, additive, .* found 'location'"),
        ("bottleneck", {"order": "sorted"}, "order must be of reverse, copy, sum, found 'sorted'"),
        ("exposure_bias", {"policies": ("professor",)}, "policies must be of teacher, linear, .* found 'professor'"),
        ("date_normalisation", {"decoders": ("adding",)}, "decoders must be of fixed, additive, .* found 'adding'"),
        ("date_normalisation", {"held_out": 36_525}, "held_out must be in .2, 36524., found 36525"),
        ("arithmetic", {"policies": ("mix",)}, "policies must be of baseline, naive, mixed, combined, found 'mix'"),
        ("arithmetic", {"source": "twice"}, "source must be of plain, reversed, doubled, found 'twice'"),
        ("arithmetic", {"digits": 9}, "digits must be at most 8, found 9"),
        ("translation", {"models": ("rnn",)}, "models must be of gru, lstm, transformer, found 'rnn'"),
        ("translation", {"beams": 0}, "beams must be above 0"),
        ("reverse", {"lengths": ()}, "lengths: give at least one"),
        ("char_lm", {"cell": ()}, "cell: give at least one"),
        ("polyphonic_music", {"noise": -0.1}, "noise must be at least 0"),
        ("polyphonic_music", {"final_rate": 1.5}, "final_rate must be at most 1"),
        ("polyphonic_music", {"transpose": 2}, "room for 0 semitones"),
        ("polyphonic_music", {"chunk": 3000}, "expected at least batch_size \\* length"),
        ("efficiency", {"lengths": (4, 0)}, "lengths must be above 0"),
        ("efficiency", {"cell": ("GRU(3)",)}, "GRU"),
        ("exploding", {"methods": ("adam",)}, "found 'adam'"),
        ("forget_bias", {"cell": ("RNN(2)",)}, "must have a gate that keeps its state"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_options(small_data, name, options, message):
    module = importlib.import_module(f"experiments.{name}")
    with pytest.raises(sj.ArgumentError, match=message):
        module.main(module.Config(**options))
    assert not (small_data / "runs").exists()
