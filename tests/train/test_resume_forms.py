"""A training goes on with an evaluation that it had not, or without; a step of another form is named."""

import chex
import jax.numpy as jnp
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

from seqjax.errors import ArgumentError
from seqjax.train import Checkpoints, Evaluation
from tests.train.problems import ADAM, PARAMS, Memory, checked, loss, source, train


@pytest.fixture(params=["memory", "disk"])
def checkpoints(request, tmp_path):
    if request.param == "memory":
        return Memory()
    pytest.importorskip("orbax.checkpoint", reason="orbax is not installed (extra: train)")
    return Checkpoints(tmp_path)


def go(checkpoints, steps, **options):
    return train(loss, PARAMS, ADAM, source(), steps=steps, checkpoints=checkpoints, **options)


def test_an_evaluation_added_or_dropped_was_put_down_to_another_cell(checkpoints, caplog):
    evaluation = Evaluation(checked, every=2)
    whole = train(loss, PARAMS, ADAM, source(), steps=8, evaluation=evaluation)
    with caplog.at_level("WARNING", logger="seqjax"):
        go(checkpoints, 2)
        added = go(checkpoints, 4, evaluation=evaluation)
        assert "evaluation (none before, so the best begins here)" in caplog.text and added.best.step == 4
        caplog.clear()
        dropped = go(checkpoints, 6)
        assert "evaluation (none now" in caplog.text and dropped.best is None
    chex.assert_trees_all_equal(dropped.params, dropped.state.params)
    again = go(checkpoints, 8, evaluation=evaluation)
    chex.assert_trees_all_equal(again.state, whole.state)
    assert again.best.step == 8


@pytest.mark.parametrize(
    "before, now, words",
    [
        ({}, {"ema": 0.5}, "saved by a step without ema=, .* Make the step without ema="),
        ({"ema": 0.5}, {}, "saved by a step with ema=, .* Make the step with ema="),
        ({"ema": 0.5}, {"evaluation": Evaluation(checked)}, "saved by a step with ema="),
    ],
)
def test_an_average_added_or_dropped_was_put_down_to_another_cell(checkpoints, before, now, words):
    go(checkpoints, 2, **before)
    with pytest.raises(ArgumentError, match=words):
        go(checkpoints, 4, **now)


def test_a_carry_added_was_put_down_to_another_cell(checkpoints):
    class Starting:
        def batch(self, step):
            return source().batch(step)

        def starts(self, step):
            return step == 0

    go(checkpoints, 2)
    options = dict(steps=4, checkpoints=checkpoints, carry=lambda params, key: jnp.zeros(4))
    with pytest.raises(ArgumentError, match="saved by a step without carry=, .* Make the step without carry="):
        train(lambda params, batch, key, carry: (loss(params, batch, key), carry), PARAMS, ADAM, Starting(), **options)


def test_other_parameters_are_still_put_down_to_another_cell(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="orbax is not installed (extra: train)")
    go(Checkpoints(tmp_path), 2)
    other = lambda params, batch, key: jnp.sum(params["v"])
    with pytest.raises(ArgumentError, match="Another cell or another optimiser"):
        train(other, {"v": PARAMS["w"]}, ADAM, source(), steps=4, checkpoints=Checkpoints(tmp_path))
