"""What cannot be right in a call of fit is named."""

import jax
import jax.numpy as jnp
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")


from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train import Evaluation, fit, make_train_step
from tests.train.problems import ADAM, KEY, PARAMS, checked, loss, source, train


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"steps": 1.5}, ArgumentTypeError, "steps must be a whole number"),
        ({"every": 0}, ArgumentError, "every"),
        ({"max_skips": 0}, ArgumentError, "max_skips"),
        ({"evaluation": checked}, ArgumentTypeError, r"Write train.Evaluation\(checked\)"),
        ({"evaluation": Evaluation(lambda p: 1.0)}, ArgumentTypeError, "evaluation must return a dict"),
        ({"evaluation": Evaluation(lambda p: {"loss": "low"})}, ArgumentTypeError, "must return a dict of floats"),
        ({"evaluation": Evaluation(checked, metric="lsos")}, ArgumentError, "Perhaps you meant 'loss'"),
        ({"log": 3}, ArgumentTypeError, "log must be a folder"),
        ({"checkpoints": "folder"}, ArgumentTypeError, "Checkpoints"),
        ({"mesh": 8}, ArgumentTypeError, "mesh must be"),
        ({"carry": lambda p, k: jnp.zeros(4)}, ArgumentTypeError, r"starts\(step\)"),
        ({"source": [1, 2]}, ArgumentTypeError, r"source must have a method batch"),
        ({"key": 0}, ArgumentTypeError, "key must be one key"),
        ({"loss": 3}, ArgumentTypeError, "loss must be a function"),
    ],
)
def test_bad_arguments(options, error, words):
    given = {"loss": loss, "params": PARAMS, "optimizer": ADAM, "source": source(), "steps": 2, "every": 1} | options
    with pytest.raises(error, match=words):
        train(**given)


def test_what_is_given_to_fit_is_checked():
    step = make_train_step(loss, ADAM)
    state = step.init(PARAMS, KEY)
    with pytest.raises(ArgumentTypeError, match="make_train_step returns, found .* fit compiles it itself"):
        fit(jax.jit(step), state, source(), steps=1)
    with pytest.raises(ArgumentTypeError, match=r"as step.init\(params, key\), found dict"):
        fit(step, PARAMS, source(), steps=1)
