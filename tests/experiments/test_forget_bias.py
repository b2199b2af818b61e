"""The parts of forget_bias that could be wrong unseen."""

import csv
import math

import jax
import numpy as np
import pytest

import seqjax as sj
from experiments import forget_bias
from experiments.collect import collect
from seqjax.initializers import chrono
from seqjax.initializers import forget_bias as forgetting


@pytest.mark.parametrize("bias", [0.0, 1.0, 3.0, 5.0])
def test_predicted_is_the_closed_form(bias):
    share = 1 / (1 + math.exp(-bias))
    found = forget_bias.predicted(np.full(7, bias), 2000)
    assert found["mean_bias"] == bias
    assert found["predicted_decay_nats_per_step"] == pytest.approx(-math.log(share), rel=1e-9)
    assert found["predicted_half_life_steps"] == pytest.approx(math.log(2) / -math.log(share), rel=1e-9)
    assert found["predicted_horizon_steps"] == math.floor(math.log(0.01) / math.log(share))
    assert forget_bias.horizon_of(bias) == pytest.approx(math.log(0.01) / math.log(share), rel=1e-12)


def test_units_that_keep_more_last_longer():
    """Two units: the norm of (a^k, b^k), against its definition."""
    shares = np.array([0.5, 0.9])
    found = forget_bias.predicted(np.log(shares / (1 - shares)), 60)
    norms = np.sqrt((shares ** np.arange(61)[:, None] * shares ** np.arange(61)[:, None]).sum(1))
    assert found["predicted_horizon_steps"] == max(np.flatnonzero(norms > 0.01 * norms[0]))


def test_the_product_of_constant_gates_is_what_is_predicted():
    gates = np.full((2, 80, 3), 1 / (1 + math.exp(-2.0)))
    found = forget_bias.reached(np.zeros((2, 81)), gates)
    same = forget_bias.predicted(np.full(3, 2.0), 80)
    for name in ("decay_nats_per_step", "half_life_steps", "horizon_steps"):
        # the product over k gates is there from k = 1, the prediction from k = 0
        assert found[f"gates_{name}"] == pytest.approx(same[f"predicted_{name}"], abs=1e-9)
    assert found["gate_time_steps"] == pytest.approx(-1 / math.log(gates[0, 0, 0]))
    assert found["decay_nats_per_step"] == 0 and found["half_life_steps"] == math.inf and found["horizon_steps"] == 79


@pytest.mark.parametrize("cell", [sj.LSTM(4), sj.GRU(4)], ids=repr)
def test_keep_biases_are_those_that_were_drawn(cell):
    for init, low, high in ((forgetting(3.0), 3.0, 3.0), (chrono(20), 0.0, math.log(19))):
        params = sj.stack(type(cell)(4, bias_init=init), sj.Dense(1)).init(jax.random.key(0), 2)
        biases = forget_bias.keep_biases(cell, params)
        assert biases.shape == (4,) and (low <= biases).all() and (biases <= high).all()


def test_points_are_means_over_seeds_that_have_a_number():
    rows = [
        {"bias_init": name, "mean_bias": bias, "mse": value}
        for name, bias, value in (
            ("forget_bias(1)", 1.0, 0.1), ("forget_bias(1)", 1.0, 0.3), ("chrono(9)", 2.0, None), ("chrono(9)", 4.0, 0.5),
            ("forget_bias(5)", 5.0, None),
        )
    ]  # fmt: skip
    found = forget_bias.points(rows, "mse", "LSTM")
    assert found.keys() == {"LSTM", "chrono(9), LSTM"}
    (first, second), (chrono_point,) = found.values()
    assert first[:2] == pytest.approx((1.0, 0.2)) and second[0] == 5.0 and math.isnan(second[1])
    assert chrono_point[:2] == (3.0, 0.5)


def test_members_begin_with_their_biases(here):
    """A network that is trained with a rate of almost nothing ends where it began, each at its own bias."""
    config = forget_bias.Config(
        cell=("LSTM(2)",), bias=(0.0, 4.0), lengths=(4,), reach=30, steps=1, batch_size=2, learning_rate=1e-9,
        evaluation=3, members=2,
    )  # fmt: skip
    rows = forget_bias.main(config)["rows"]
    assert [(row["bias_init"], row["seed"]) for row in rows] == [
        (name, seed) for name in ("forget_bias(0)", "forget_bias(4)", "chrono(4)") for seed in (0, 1)
    ]
    for row in rows:
        assert row["gate_time_steps_after"] == pytest.approx(row["gate_time_steps_before"], rel=1e-4)
    weak, strong = rows[0], rows[2]
    assert weak["gate_time_steps_before"] < 4 < 20 < strong["gate_time_steps_before"]
    assert weak["gates_horizon_steps_before"] < 12 and strong["gates_horizon_steps_before"] == 29
    assert {path.stem for path in here.glob("runs/forget_bias/*/plots/*.png")} == {"horizon_lstm_2", "mse"}
    table = list(csv.DictReader(collect("forget_bias", results=here).read_text().splitlines()))
    assert [row["seed"] for row in table] == ["0", "1"] * 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"cell": ("RNN(3)",)}, "must have a gate that keeps its state"),
        ({"cell": ("stack(GRU(3), GRU(3))",)}, "must have a gate that keeps its state"),
        ({"lengths": (1,)}, "length must be a whole number of at least 2"),
        ({"reach": 0}, "reach must be above 0"),
        ({"bias": ()}, "bias: give at least one"),
    ],
)
def test_wrong_options(here, options, message):
    with pytest.raises(sj.ArgumentError, match=message):
        forget_bias.main(forget_bias.Config(**options))
    assert not (here / "runs").exists()
