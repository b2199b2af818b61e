"""The experiment on depth and direction: its strings, its widths, its gradients."""

import csv
import math

import jax
import numpy as np
import pytest

import seqjax as sj
from experiments import depth_and_direction
from experiments.collect import collect
from experiments.gradients import directions, readings
from experiments.harness.cells import count_parameters, match_width
from seqjax import losses
from seqjax.diagnostics import gradient_by_position, log_mean
from tests.experiments.makers import WORDS

BOTH = "bidirectional(GRU(W))"
TINY = {"parameters": 600, "length": 6, "steps": 2, "members": 2, "batch_size": 2, "measured": 2, "evaluation": 2}


def test_keys_before_and_after():
    batch = readings.keys(4, 30).draw(jax.random.key(0), 20, 30)
    for xs, ys in zip(np.asarray(batch.inputs), np.asarray(batch.targets)):
        assert xs[0] < 2 and xs[-1] < 2 and xs.max() < 6
        for t, y in enumerate(ys):
            last = next(x for x in xs[t::-1] if x < 2)
            following = next(x for x in xs[t:] if x < 2)
            assert y == 2 * last + following


def test_the_best_causal_answer():
    """It says the last key for both, and is right at keys and in half of the other steps."""
    reading = readings.keys(5, 50)
    batch = reading.draw(jax.random.key(1), 4000, 50)
    inputs, targets = np.asarray(batch.inputs), np.asarray(batch.targets)
    right = np.mean(targets == 3 * (targets // 2))
    assert np.mean(inputs < 2) == pytest.approx(2 * reading.blind - 1, abs=0.005)
    assert right == pytest.approx(reading.blind, abs=0.01)
    found = readings.halves(jax.nn.one_hot(3 * (batch.targets // 2), 4), batch.targets)
    assert np.mean(found["last_key_accuracy"]) == 1 and np.mean(found["next_key_accuracy"]) == pytest.approx(right)


def test_windows_of_a_text():
    batch = readings.windows(np.arange(40), jax.random.key(0), 8, 5)
    assert batch.inputs.shape == (8, 5) and np.all(batch.targets == batch.inputs + 1)
    assert np.all(np.diff(batch.inputs, axis=1) == 1)


def test_width():
    """RNN(W) on 5 features has W (W + 6) parameters, its readout of 3 classes 3 W + 3: W = 20 has 583, 21 has 633."""

    def model_of(cell):
        return sj.stack(cell, sj.Dense(3))

    assert match_width("RNN(W)", 583, 5, model_of) == sj.RNN(20) and match_width("RNN(W)", 610, 5, model_of) == sj.RNN(
        21
    )
    assert count_parameters(model_of(sj.RNN(20)), 5) == 583
    assert repr(match_width("stack(RNN(W), GRU(W))", 300, 2, model_of)).count("RNN(") == 1
    with pytest.raises(sj.ArgumentError, match=r"RNN\(8\) must have W in place of its widths"):
        match_width("RNN(8)", 100, 5, model_of)
    with pytest.raises(sj.ArgumentError, match=r"at least 13 for RNN\(W\), found 3"):
        match_width("RNN(W)", 3, 5, model_of)


@pytest.mark.slow
def test_losses_are_those_of_single_steps():
    """Beside `gradient_by_position`, and for a single recurrence beside its closed form."""
    model = sj.stack(sj.Embed(6, 3), sj.bidirectional(sj.GRU(4)), sj.Dense(4))
    batch = readings.keys(3, 7).draw(jax.random.key(0), 2, 7)
    params = model.init(jax.random.key(1), 0)
    row, layers = directions.reach(model, params, batch)
    _, xs = sj.scan(model.cells[0], params["0"], batch.inputs)

    def loss(ys):
        return losses.cross_entropy(model.cells[2].apply(params["2"], ys), batch.targets)

    found = gradient_by_position(model.cells[1], params["1"], xs, loss, [6, 3])
    for i, name in enumerate(("last", "middle")):
        expected = log_mean(np.asarray(found.inputs, np.float64))[i] / math.log(10)
        np.testing.assert_allclose(row[f"log10_inputs_from_{name}"], expected, atol=2e-4)
        forward = log_mean(np.asarray(found.layers["forward/h"], np.float64))[i] / math.log(10)
        (of_layer,) = [each for each in layers if each["path"] == "forward/h"]
        given = [-np.inf if log is None else log for log in of_layer[f"log10_norms_from_{name}"]]
        np.testing.assert_allclose(given, forward, atol=2e-4)


def test_short_names():
    """Those of the stacks that are drawn beside each other are their names there."""
    assert {name: depth_and_direction.short_name(text) for name, text in depth_and_direction.DEEP.items()} == {
        name: name for name in depth_and_direction.DEEP
    }
    texts = ("GRU(W)", *depth_and_direction.MIXED.values(), "stack(LSTM(W), bidirectional(LSTM(W)))")
    assert [depth_and_direction.short_name(text) for text in texts] == [
        "GRU", "RNN, LSTM, GRU", "2 bidirectional(LSTM)", "LSTM, bidirectional(LSTM)",
    ]  # fmt: skip


def test_half_lives_of_both_ways():
    """2^-k behind and 4^-k ahead; nothing ahead of a causal network."""
    behind, ahead = np.log(0.5) * np.arange(10, 0, -1), np.log(0.25) * np.arange(10)
    found = directions.both_ways(np.concatenate([behind, ahead]))
    assert found["back_half_life_steps"] == pytest.approx(1) and found["forward_half_life_steps"] == pytest.approx(0.5)
    assert (found["back_steps_above_1_percent"], found["forward_steps_above_1_percent"]) == (6, 3)
    causal = directions.both_ways(np.concatenate([behind, [0.0], np.full(9, -np.inf)]))
    assert causal["forward_half_life_steps"] is None and causal["forward_steps_above_1_percent"] == 0


@pytest.mark.slow
def test_rows_and_figures(here):
    (here / "page.txt").write_text(WORDS * 60)
    config = depth_and_direction.Config(
        **TINY, causal=(depth_and_direction.MIXED["text"],), both=(BOTH, "GRU(W)"), data="page.txt"
    )
    config = depth_and_direction.Config(**{**vars(config), "parameters": 3000})
    summary = depth_and_direction.main(config)
    mixed, two_sided, causal = summary["rows"][::2]
    assert mixed["best_causal_accuracy"] is None and 0.5 < causal["best_causal_accuracy"] < 1
    for row in (mixed, causal):
        assert row["before_from_middle_forward_half_life_steps"] is None
        assert row["after_log10_inputs_from_middle"][4:] == [None] * 2
    assert (
        None not in two_sided["after_log10_inputs_from_middle"]
        and two_sided["before_from_middle_forward_half_life_steps"]
    )
    assert abs(mixed["parameters"] / 3000 - 1) < 0.1 and abs(two_sided["parameters"] / 3000 - 1) < 0.1
    names = {path.stem for path in here.glob("runs/*/*/plots/*.png")}
    assert names == {"loss_text", "loss_keys", "inputs", "layers_text"}
    rows = list(csv.DictReader(collect("depth_and_direction", results=here).read_text().splitlines()))
    assert len(rows) == 6
    layers = list(csv.DictReader((here / "depth_and_direction_layers.csv").read_text().splitlines()))
    assert {row["path"] for row in layers if row["cell"] == BOTH} == {"forward/h", "backward/h"}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"readings": ("speech",)}, "readings must be of text, keys, found 'speech'"),
        ({"readings": ("keys",), "both": ("GRU(3)",)}, "must have W in place of its widths"),
        (
            {"readings": ("keys",), "both": ("GRU(W)",), "parameters": 9},
            r"parameters must be at least .* GRU\(W\), found 9",
        ),
        ({"readings": ("keys",), "both": ("GUR(W)",)}, "Perhaps you meant 'GRU'"),
        ({"readings": ("keys",), "both": ("stack(Dropout(0.5), GRU(W))",)}, "neither random numbers nor a memory"),
        ({"causal": (BOTH,)}, "it sees what it is to predict"),
        ({"length": 3}, "length must be at least 4"),
        ({"gap": 0}, "gap must be above 0"),
        ({"measured": 0}, "measured must be above 0"),
        ({"causal": ()}, "causal: give at least one"),
    ],
)
def test_wrong_options(here, options, message):
    (here / "page.txt").write_text(WORDS * 60)
    with pytest.raises(sj.ArgumentError, match=message):
        depth_and_direction.main(
            depth_and_direction.Config(**(TINY | {"parameters": 3000, "data": "page.txt"} | options))
        )
    assert not (here / "runs").exists()
