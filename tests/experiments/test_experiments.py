"""The experiments at tiny settings, from the command line as well, and the run folder."""

import dataclasses
import json
import math
import subprocess
import sys

import jax
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")
pytest.importorskip("tqdm", reason="tqdm is not installed (extra: experiments)")

import optax

import seqjax as sj
from experiments import flows, gradient_norms, layers, sources
from experiments.gradient_norms import Config, main
from experiments.training import matched
from seqjax import losses
from tests.test_style import ROOT

WORDS = "the quick brown fox jumps over the lazy dog and runs away. "


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text(WORDS * 40)
    return "words.txt"


def tiny(text, **changes):
    options = {
        "cell": ("RNN(3)", "LSTM(3)"),
        "lengths": (2, 5),
        "data": text,
        "batch": 4,
        "train_steps": 2,
        "train_length": 6,
        "layered": "",
    }
    return Config(**(options | changes))


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
        for name in ("norm_by_distance", "norm_by_length", "exploding", "layers")
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


def test_a_stopped_run_goes_on(text, tmp_path, monkeypatch):
    config = tiny(text, layered="GRU(2)")
    whole = main(config)
    metrics = folder(tmp_path) / "metrics.jsonl"
    lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join(lines[: len(lines) // 2]) + '\n{"unit": "half a li')
    (folder(tmp_path) / "STATUS").write_text("running\n")
    assert main(config) == whole


def test_another_config_is_another_folder(text, tmp_path):
    for changes in ({}, {"seed": 1}, {"batch": 3}):
        main(tiny(text, cell=("RNN(2)",), exploding_scale=0.0, train_steps=0, **changes))
    names = sorted(p.name for p in (tmp_path / "runs" / "gradient_norms").iterdir())
    assert len(names) == 3
    assert len({name.split("-")[0] for name in names}) == 2


def test_rows_are_the_gradient(text):
    """A linear scalar cell under the experiment's own measurement gives its weight's powers."""
    source = sources.load(text)
    cell = sj.RNN(1, activation="identity", recurrent_init=sj.initializers.identity(0.5))
    rows = gradient_norms.study(cell, source, tiny(text, lengths=(3, 6), train_steps=0), None)
    for row in rows:
        mean = np.array(row["mean"])
        assert len(mean) == row["length"] + 1
        np.testing.assert_allclose(np.diff(mean), math.log10(0.5), atol=2e-4)
        assert row["half_life"] == pytest.approx(1, rel=1e-3)


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
    assert any("Leaky(3, rate=0.5)" in line for line in summary["flow"])


def test_equal_parameters():
    target = gradient_norms.count(sj.LSTM(64))
    assert target == 4 * 64 * (32 + 64 + 1)
    assert matched(sj.RNN(64), target, 32).features == 142  # f (33 + f) is 24,534, 24,850 or 25,168
    for cell in (sj.RNN(64), sj.GRU(64), sj.LSTM(3)):
        best = matched(cell, target, 32)
        here, *around = (
            gradient_norms.count(dataclasses.replace(best, features=best.features + d)) for d in (0, -1, 1)
        )
        assert abs(here - target) <= min(abs(size - target) for size in around)


def rows_of(cell, text, **changes):
    source = sources.load(text)
    config = tiny(text, **changes)
    return layers.study_layers(sj.cell_from_text(cell), source, gradient_norms.training(config), None)


def test_layer_norms_are_those_of_autodiff(text):
    """log10 of the mean norm of dL/dv_t, against the gradient in probes that a trace adds to v."""
    cell = sj.stack(sj.bidirectional(sj.LSTM(2)), sj.GRU(3))
    source = sources.load(text)
    model = flows.model_of(cell, source)
    params = flows.fresh_params(model, source, 0)
    xs, targets = source.windows(np.random.default_rng((0, layers.LENGTH)), 4, layers.LENGTH)
    last = targets[:, -1]

    def loss(probes):
        _, logits, _ = sj.trace(model, params, xs, add={f"1/{path}": probe for path, probe in probes.items()})
        return losses.cross_entropy(logits[:, -1], last).sum()

    rows = [row for row in rows_of(repr(cell), text) if row["phase"] == "before"]
    values = sj.trace(model, params, xs)[2]
    probes = {row["path"]: jax.numpy.zeros_like(values[f"1/{row['path']}"]) for row in rows}
    gradients = jax.jit(jax.grad(loss))(probes)
    for row in rows:
        norms = np.linalg.norm(np.asarray(gradients[row["path"]], np.float64), axis=-1).mean(axis=0)
        found = np.array([-np.inf if log is None else log for log in row["log10_norms"]])
        seen = norms > 1e-25  # well above what float32 loses
        np.testing.assert_allclose(found[seen], np.log10(norms[seen]), atol=1e-3)
        assert (found[~seen] < -24.9).all()


def test_layers_come_in_order(text):
    cell = "stack(z=bidirectional(LSTM(2)), a=residual(GRU(4)), y=RNN(3))"
    rows = rows_of(cell, text, train_steps=0)
    assert [row["path"] for row in rows if row["phase"] == "before"] == [
        *("z/forward/c", "z/forward/h", "z/forward/y", "z/backward/c", "z/backward/h", "z/backward/y", "z/y"),
        *("a/h", "a/y", "a/sum", "y/h", "y/y"),
    ]
    assert [row["path"] for row in rows if row["is_state"]][::2] == [
        *("z/forward/c", "z/forward/h", "z/backward/c", "z/backward/h", "a/h", "y/h")
    ]
    for before, after in zip(rows[::2], rows[1::2]):
        assert before["log10_norms"] == after["log10_norms"]  # as there was no training
        assert (before["half_life_steps"] is None) == ("backward" in before["path"] or before["path"] == "y/y")
        assert before["read"] == ("backwards" if "backward" in before["path"] else "forwards")
    assert rows[-1]["log10_norms"][:-1] == [None] * (layers.LENGTH - 1)  # the last output of all but the last step


def test_many_layers_come_in_order(text):
    paths = [row["path"] for row in rows_of("repeat(residual(RNN(32)), 11)", text, train_steps=0) if row["is_state"]]
    assert paths[::2] == [f"layer/{i}/h" for i in range(11)]


@pytest.mark.parametrize("data", ["text", "digits"])
def test_layers_of_both_directions(text, tmp_path, capsys, data):
    if data == "digits":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: experiments)")
    options = {"cell": ("RNN(2)",), "layered": "stack(bidirectional(LSTM(2)), GRU(2))", "exploding_scale": 0.0}
    summary = main(tiny(text if data == "text" else "digits", **options))
    numbers = json.loads((folder(tmp_path) / "summary.json").read_text(), parse_constant=pytest.fail)["layers"]
    assert numbers == summary["layers"]
    assert {row["steps"] for row in numbers} == {100 if data == "text" else 64}
    for row in numbers:
        for name in ("half_life_steps", "log10_norm_at_last_step", "log10_norm_at_half", "log10_norm_at_first_step"):
            assert row[name] is None or isinstance(row[name], float)
        assert row["log10_norm_at_last_step"] is not None
    said = capsys.readouterr().out
    assert "0/backward/c  LSTM(2)" in said
    assert "layers.png" in said


def test_training_that_has_seen_the_answers(text, monkeypatch):
    """A model of both directions is trained on the last step alone; the others' targets stand in its input."""
    shapes = []
    of = flows.losses.cross_entropy
    monkeypatch.setattr(flows.losses, "cross_entropy", lambda x, y: shapes.append(x.shape) or of(x, y))
    source = sources.load(text)
    for cell, shape in ((sj.RNN(2), (4, 6)), (sj.bidirectional(sj.RNN(2)), (4,))):
        model = flows.model_of(cell, source)
        windows = flows.Windows(source, flows.Training(1, 6, 4, 1e-3, 0))
        flows.fit(model, flows.fresh_params(model, source, 0), windows, optax.sgd(0.1))
        assert shapes.pop()[:-1] == shape
        shapes.clear()


def layer_row(path, phase, half, last, first):
    norms = {"log10_norm_at_last_step": last, "log10_norm_at_half": None, "log10_norm_at_first_step": first}
    row = {"path": path, "layer": "LSTM(2)", "phase": phase, "half_life_steps": half, "is_state": True, "steps": 9}
    return row | norms


def test_the_reading_follows_the_numbers():
    rows = [
        *(layer_row("c", "before", 2.0, -1.0, -4.0), layer_row("c", "after", -3.0, -1.0, 1.5)),
        *(layer_row("h", "before", 5.0, -1.0, -4.0), layer_row("h", "after", 4.0, -1.0, -7.0)),
        *(layer_row("s", "before", None, -1.0, None), layer_row("s", "after", None, -1.0, None)),
    ]
    said = " ".join(layers.layer_reading(rows).split())
    assert "in c (LSTM(2)) it grows by 2.5 powers of ten, the least of 3 states" in said
    assert "in s (LSTM(2)) it falls to exactly zero, the most" in said
    assert "longer in 1 of 2 states (c 2.0 to -3.0 steps), shorter in 1 of 2 states (h 5.0 to 4.0 steps)" in said
    assert "the most" not in layers.layer_reading(rows[:2])


def command_line(*options, cwd):
    command = [sys.executable, "-m", "experiments.gradient_norms", *options]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**__import__("os").environ, "PYTHONPATH": str(ROOT)}
    )


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
def test_wrong_command_lines(text, tmp_path, options, message):
    pytest.importorskip("tyro", reason="tyro is not installed (extra: experiments)")
    done = command_line(*options, cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cell": ()}, "cell: give at least one"),
        ({"cell": ("bidirectional(LSTM(2))",)}, "reads both directions"),
        ({"cell": ("stack(Embed(3, 2), LSTM(2))",)}, "must take vectors"),
        ({"cell": ("stack(Dropout(0.5), LSTM(2))",)}, "draw no random numbers"),
        ({"batch": 0}, "batch must be above 0"),
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


def test_windows_are_deterministic(text):
    source = sources.load(text)
    a, b = (source.windows(np.random.default_rng(3), 4, 5) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    np.testing.assert_array_equal(a[0][:, 1:], a[1][:, :-1])
