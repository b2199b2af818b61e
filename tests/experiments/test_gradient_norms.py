"""The gradient-norm experiment at tiny settings, from the command line as well."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import seqjax as sj
from experiments import gradient_norms
from experiments.gradient_norms import Config, main
from experiments.gradients import sources
from experiments.harness.cells import count_parameters, match_parameters
from experiments.harness.command import command
from tests.experiments.makers import tiny
from tests.test_style import ROOT


def folder(tmp_path):
    (found,) = (tmp_path / "runs" / "gradient_norms").iterdir()
    return found


def test_run_folder_and_resume(text, tmp_path, capsys, monkeypatch):
    config = tiny(text, layered="stack(RNN(2), LSTM(2))")
    summary = main(config)
    said = capsys.readouterr().out
    run = folder(tmp_path)
    files = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    plots = {
        f"plots/{name}.{kind}"
        for name in ("norm_by_distance", "input_norm_by_distance", "norm_by_length", "exploding", "layers")
        for kind in ("png", "svg")
    }
    assert files == {"config.json", "environment.json", "metrics.jsonl", "summary.json", "STATUS", ".lock"} | plots
    assert (run / "STATUS").read_text() == "done\n"
    assert json.loads((run / "summary.json").read_text()) == summary
    assert json.loads((run / "config.json").read_text())["cell"] == ["RNN(3)", "LSTM(3)"]
    assert "halves every" in said
    assert "What becomes of the norm" in said
    # the same command again: the same words, and no work
    for job in ("study", "explode", "study_layers"):
        monkeypatch.setattr(gradient_norms, job, lambda *_: pytest.fail("work was done again"))
    assert main(config) == summary
    assert capsys.readouterr().out == said


@pytest.mark.slow  # the mechanism is tried in test_commands.py
def test_a_stopped_run_goes_on(text, tmp_path, monkeypatch):
    config = tiny(text, layered="GRU(2)")
    whole = main(config)
    metrics = folder(tmp_path) / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join(lines[: len(lines) // 2]) + '\n{"unit": "half a li')
    (folder(tmp_path) / "STATUS").write_text("running\n")
    assert main(config) == whole


def test_rows_are_the_gradient(text):
    """A linear scalar cell under the experiment's own measurement gives its weight's powers."""
    source = sources.load(text)
    cell = sj.RNN(1, activation="identity", recurrent_init=sj.initializers.identity(0.5))
    rows = gradient_norms.study(cell, source, tiny(text, lengths=(3, 6), train_steps=0), None)
    for row in rows:
        mean = np.array(row["log10_norms"])
        assert len(mean) == row["length"] + 1
        np.testing.assert_allclose(np.diff(mean), math.log10(0.5), atol=2e-4)
        assert [row["half_life_steps"], row["input_half_life_steps"]] == pytest.approx([1, 1], rel=1e-3)
        np.testing.assert_allclose(np.diff(row["log10_input_norms"]), math.log10(0.5), atol=2e-4)
        assert len(row["log10_input_norms"]) == row["length"]


def test_digits_and_own_cells(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: experiments)")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\nfrom seqjax import Gated\n"
        "class Leaky(Gated):\n    gates = ('h',)\n    rate: float = 0.1\n"
        "    def update(self, p, h, z, m):\n"
        "        h = (1 - self.rate) * h + self.rate * jnp.tanh(z + m)\n        return h, h\n"
    )
    cells = ("mine.py:Leaky(3, rate=0.5)", "stack(RNN(2), GRU(2))")
    summary = main(tiny("digits", cell=cells, lengths=(), train_length=64, exploding_scale=0.0))
    assert summary["flow"][0]["cell"] == "Leaky(3, rate=0.5)"


@pytest.mark.slow
def test_attention_beside_a_recurrent_cell(text):
    """The block's own step reaches all inputs; an empty cache has a gradient of exactly zero; a mixture is one cell."""
    cells = (
        "as_cell(TransformerBlock, 32, 2, capacity=5)",
        "stack(GRU(32), as_cell(TransformerBlock, 32, 2, capacity=5))",
    )
    summary = main(tiny(text, cell=cells, lengths=(5,), exploding_scale=0.0, train_steps=0))
    for row in summary["flow"]:
        assert math.isfinite(row["input_half_life_steps"]) and math.isfinite(row["half_life_steps"])


def test_equal_parameters():
    target = count_parameters(sj.LSTM(64), 32)
    assert target == 4 * 64 * (32 + 64 + 1)
    assert match_parameters(sj.RNN(64), target, 32).features == 142  # f (33 + f) is 24,534, 24,850 or 25,168
    for cell in (sj.RNN(64), sj.GRU(64), sj.LSTM(3)):
        best = match_parameters(cell, target, 32)
        here, *around = (
            count_parameters(dataclasses.replace(best, features=best.features + d), 32) for d in (0, -1, 1)
        )
        assert abs(here - target) <= min(abs(size - target) for size in around)


def test_windows_are_deterministic(text):
    source = sources.load(text)
    a, b = (source.windows(np.random.default_rng(3), 4, 5) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    np.testing.assert_array_equal(a[0][:, 1:], a[1][:, :-1])


def command_line(*options, cwd):
    command = [sys.executable, "-m", "experiments.gradient_norms", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize(
    "options, message",
    [
        (["--cells", "LSTM(3)"], "--cell"),
        (["--lengths", "ten"], "ten"),
        (["--cell", "LTSM(3)"], "Perhaps you meant 'LSTM'"),
        (["--data", "nowhere.txt"], "'nowhere.txt' is neither shakespeare, digits nor the path of a text file"),
        (["--data", "words.txt", "--lengths", "0"], "lengths must be from 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_command_lines(text, tmp_path, capsys, monkeypatch, options, message):
    pytest.importorskip("tyro", reason="tyro is not installed (extra: experiments)")
    for stream in ("stdout", "stderr"):  # which the command replaces
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    monkeypatch.setattr(sys, "argv", ["gradient_norms", *options])
    monkeypatch.setattr("faulthandler.enable", lambda: None)
    with pytest.raises(SystemExit) as end:
        command(main, Config, gradient_norms.__doc__)
    assert end.value.code not in (None, 0)
    said = capsys.readouterr()
    assert message in f"{end.value.code}{said.err}{said.out}"
    assert not (tmp_path / "runs").exists()


def test_a_wrong_command_line_ends_without_a_traceback(text, tmp_path):
    pytest.importorskip("tyro", reason="tyro is not installed (extra: experiments)")
    done = command_line("--cell", "LTSM(3)", cwd=tmp_path)
    assert done.returncode != 0
    assert "Perhaps you meant 'LSTM'" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cell": ()}, "cell: give at least one"),
        ({"cell": ("bidirectional(LSTM(2))",)}, "reads both directions"),
        ({"cell": ("stack(Embed(3, 2), LSTM(2))",)}, "must take vectors"),
        ({"cell": ("stack(Dropout(0.5), LSTM(2))",)}, "draw no random numbers"),
        ({"batch_size": 0}, "batch_size must be above 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"train_steps": -1}, "train_steps must not be below 0"),
        ({"lengths": (10**6,)}, "lengths must be from 1 to"),
        ({"train_length": 10**6}, "train_length must be at most"),
        ({"layered": "stack(RNN(2), LTSM(2))"}, "layered: .*Perhaps you meant 'LSTM'"),
        ({"layered": "Dense(2)"}, "layered: .* has no state"),
        ({"layered": "stack(Embed(3, 2), LSTM(2))"}, "layered: .* must take vectors"),
        ({"layered": "stack(Dropout(0.5), LSTM(2))"}, "neither random numbers nor a memory"),
        ({"layered": "bidirectional(GRU(2), merge='pair')"}, "layered: .* gives a pair"),
        ({"layered": "repeat(LSTM(2), 3)"}, "layered: .* gives 2 features but gets 32"),
    ],
    ids=str,
)
def test_wrong_configs(text, tmp_path, changes, message):
    with pytest.raises(sj.ArgumentError, match=message):
        main(tiny(text, **changes))
    assert not (tmp_path / "runs").exists()


def test_wrong_texts(text, tmp_path):
    (tmp_path / "short.txt").write_text("short")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xfa" * 1000)
    with pytest.raises(sj.ArgumentError, match=r"short.txt has 5 characters; at least 1000"):
        main(tiny("short.txt"))
    with pytest.raises(sj.DataError, match="cannot be read as UTF-8"):
        main(tiny("bytes.txt"))
