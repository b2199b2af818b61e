"""Gradient norms layer by layer: against autodiff, in order, and in words."""

import json

import jax
import numpy as np
import optax
import pytest

import seqjax as sj
from experiments import gradient_norms
from experiments.gradient_norms import main
from experiments.gradients import flows, layers, sources
from seqjax import losses
from tests.experiments.makers import tiny


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


@pytest.mark.slow  # the few above come in order
def test_many_layers_come_in_order(text):
    paths = [row["path"] for row in rows_of("repeat(residual(RNN(32)), 11)", text, train_steps=0) if row["is_state"]]
    assert paths[::2] == [f"layer/{i}/h" for i in range(11)]


@pytest.mark.parametrize("data", ["text", pytest.param("digits", marks=pytest.mark.slow)])
def test_layers_of_both_directions(text, tmp_path, capsys, data):
    if data == "digits":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra: experiments)")
    options = {"cell": ("RNN(2)",), "layered": "stack(bidirectional(LSTM(2)), GRU(2))", "exploding_scale": 0.0}
    summary = main(tiny(text if data == "text" else "digits", **options))
    numbers = json.loads(
        next(tmp_path.glob("runs/gradient_norms/*/summary.json")).read_text(), parse_constant=pytest.fail
    )["layers"]
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
