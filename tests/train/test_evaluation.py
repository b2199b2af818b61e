"""Scores over a whole data set, and what a training does with them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")


from seqjax.batching import Stream
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.train import Evaluation, Mean, evaluate
from tests.train.problems import ADAM, PARAMS, ROWS, Memory, checked, loss, score, source, train


def exact(params, rows=ROWS):
    """By hand, over all rows, as `score` does."""
    noise = 0.01 * float(jax.random.normal(jax.random.key(0)))
    guess = float(params["w"][0]) * rows[:, :-1].astype(np.float64) + float(params["w"][1]) + noise
    return np.mean((guess - rows[:, 1:]) ** 2)


@pytest.mark.parametrize("batch_size", [3, 4, 10, 16])
def test_each_example_counts_once_however_it_is_batched(batch_size):
    found = evaluate(score, PARAMS, source(batch_size))
    np.testing.assert_allclose(found["loss"], exact(PARAMS), rtol=1e-6)


def test_evaluation_of_several_means_some_with_axes():
    def scores(params, batch, key):
        return Mean.of(batch.inputs[..., 0], batch.weights), {
            "largest": jax.vmap(Mean.of)(batch.inputs[..., 0].T, batch.weights.T)
        }

    found = evaluate(scores, PARAMS, source(4))
    np.testing.assert_allclose(found["loss"], ROWS[:, :3].mean(dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(found["largest"], ROWS[:, :3].mean(0, dtype=np.float64), rtol=1e-6)
    part = evaluate(scores, PARAMS, source(5, shuffle=False), 1)
    np.testing.assert_allclose(part["loss"], ROWS[:5, :3].mean(dtype=np.float64), rtol=1e-6)


def test_evaluation_hands_the_carry_on():
    """A carry that counts the batches since the last start."""
    stream = Stream(np.arange(21), 2, 2)

    def scores(params, batch, key, carry):
        return Mean.of(jnp.float32(carry)[None]), carry + 1

    found = evaluate(scores, PARAMS, stream, 7, carry=lambda params, key: jnp.zeros((), jnp.int32))
    assert found["loss"] == np.mean([0, 1, 2, 3, 4, 0, 1])
    assert stream.steps_per_epoch == 5


def test_early_stopping_keeps_the_best_parameters():
    values, seen = iter([3.0, 1.0, float("nan"), 2.0, 1.0, 0.0]), []

    def scripted(params):
        seen.append(jax.tree.map(np.array, params))
        return {"loss": 9.0, "error": next(values)}

    result = train(
        loss, PARAMS, ADAM, source(), steps=60, evaluation=Evaluation(scripted, every=2, patience=3, metric="error")
    )
    assert (result.reason, result.best, int(result.state.step)) == ("patience", (4, 1.0), 10)
    chex.assert_trees_all_equal(result.params, jax.tree.map(jnp.asarray, seen[1]))
    assert [r["evaluation/error"] for r in result.history if "evaluation/error" in r][:2] == [3.0, 1.0]
    values = iter([3.0, 1.0, 5.0, 2.0, 1.0, 0.0])
    options = dict(evaluation=Evaluation(scripted, every=2, metric="error", higher_is_better=True))
    assert train(loss, PARAMS, ADAM, source(), steps=12, **options).best == (6, 5.0)


def test_patience_that_has_run_out_is_remembered():
    checkpoints, calls = Memory(), []
    evaluation = Evaluation(lambda p: calls.append(1) or {"loss": 1.0}, every=2, patience=2)
    options = dict(steps=60, evaluation=evaluation)
    for _ in range(2):
        result = train(loss, PARAMS, ADAM, source(), checkpoints=checkpoints, **options)
        assert (result.reason, int(result.state.step), len(calls)) == ("patience", 6, 3)


@pytest.mark.parametrize("higher, values, steps", [(False, [3.0, 1.5, 1.0, 0.5], 6), (True, [0.5, 0.2, 1.0], 6)])
def test_a_target_ends_the_training(higher, values, steps):
    checkpoints, left = Memory(), iter(values)
    options = dict(evaluation=Evaluation(lambda p: {"loss": next(left)}, every=2, target=1.0, higher_is_better=higher))
    for _ in range(2):  # called again it has nothing to do
        result = train(loss, PARAMS, ADAM, source(), steps=60, checkpoints=checkpoints, **options)
        assert (result.reason, int(result.state.step), result.best.value) == ("target", steps, 1.0)


def test_another_metric_was_compared_with_the_best_of_the_old_one():
    """A loss of 0.2 was below every accuracy of the first evaluations, so it met the target and used up patience."""
    values = {"loss": 0.2, "accuracy": 0.5}
    once = lambda **options: Evaluation(lambda params: dict(values), every=2, **options)
    again = dict(metric="accuracy", higher_is_better=True)
    checkpoints = Memory()
    train(loss, PARAMS, ADAM, source(), steps=6, evaluation=once(patience=3), checkpoints=checkpoints)
    low = once(metric="accuracy", target=0.3)  # met by the loss, not by the accuracy
    found = train(loss, PARAMS, ADAM, source(), steps=8, evaluation=low, checkpoints=checkpoints)
    assert (found.reason, found.best) == ("steps", (8, 0.5))
    chex.assert_trees_all_equal(found.params, found.state.params)
    found = train(loss, PARAMS, ADAM, source(), steps=12, evaluation=once(patience=2, **again), checkpoints=checkpoints)
    assert (found.reason, found.best, int(found.state.step)) == ("steps", (10, 0.5), 12)
    ended = train(loss, PARAMS, ADAM, source(), steps=30, evaluation=once(patience=2, **again), checkpoints=checkpoints)
    assert (ended.reason, ended.best, int(ended.state.step)) == ("patience", (10, 0.5), 14)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"every": 0}, ArgumentError, "every"),
        ({"target": "low"}, ArgumentTypeError, "target must be a number"),
        ({"target": float("nan")}, ArgumentError, "target must be a number"),
        ({"patience": 0}, ArgumentError, "patience"),
        ({"function": source()}, ArgumentTypeError, "train.evaluate"),
        ({"metric": None}, ArgumentTypeError, "metric must be the name"),
        ({"higher_is_better": 1}, ArgumentTypeError, "higher_is_better must be True or False"),
    ],
)
def test_an_evaluation_that_cannot_be_right(options, error, words):
    with pytest.raises(error, match=words):
        Evaluation(**({"function": checked} | options))


def test_a_metric_named_loss_took_the_place_of_the_loss():
    with pytest.raises(ArgumentError, match="score returned a metric named 'loss'.*Rename it"):
        evaluate(lambda params, batch, key: (Mean(1.0, 1), {"loss": Mean(0.0, 1)}), PARAMS, source())


class Counted:
    def __init__(self, source):
        self.source, self.made = source, []

    def batch(self, step):
        self.made.append(step)
        return self.source.batch(step)


@pytest.mark.parametrize(
    "result, options, error, words",
    [
        (lambda p, b: jnp.float32(1), {}, ArgumentTypeError, "cannot be merged"),
        (lambda p, b: (Mean(1.0, 1), 3), {}, ArgumentTypeError, "Pass carry="),
        (lambda p, b: (Mean(1.0, 1), {"a": 1.0}), {}, ArgumentTypeError, "'a'"),
        (lambda p, b: Mean.of(b.inputs[..., 0], b.weights & False), {}, ArgumentError, "nothing counts for 'loss'"),
        (lambda p, b: Mean(1.0, 1), {"steps": 0}, ArgumentError, "steps"),
        (lambda p, b: Mean(1.0, 1), {"carry": lambda p, k: 0}, ArgumentTypeError, "Stream"),
        (lambda p, b: Mean(1.0, 1), {"source": Counted(None)}, ArgumentError, "steps must be given"),
    ],
)
def test_bad_evaluations(result, options, error, words):
    with pytest.raises(error, match=words):
        evaluate(**({"score": lambda p, b, k: result(p, b), "params": PARAMS, "source": source()} | options))
