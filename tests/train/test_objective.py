"""Losses made of cells, and predictions."""

import chex
import jax
import numpy as np
import optax
import pytest

from seqjax import GRU, ArgumentError, ArgumentTypeError, Batch, Dense, Dropout, Embed, Norm, losses, scan, stack
from seqjax.batching import Stream
from seqjax.train import Mean, evaluate, fit, make_loss, make_train_step, predict

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
TAGGER = stack(Embed(7, 4), GRU(5), Dense(3))
PARAMS = TAGGER.init(KEY, 0)
LENGTHS = np.array([6, 1, 4, 0])
IDS = RNG.integers(0, 7, (4, 6))
REAL = np.arange(6) < LENGTHS[:, None]


def one_by_one(model, params, ids):
    """The outputs of each sequence alone, without padding."""
    return [np.asarray(scan(model, params, row[None, :n])[1][0]) for row, n in zip(ids, LENGTHS)]


def test_each_step_against_sequences_alone():
    targets = RNG.integers(0, 3, (4, 6))
    mean, metrics = make_loss(TAGGER, losses.cross_entropy, metrics={"accuracy": losses.accuracy})(
        PARAMS, Batch(IDS, targets, REAL, LENGTHS), KEY
    )
    alone = [(each, row[:n]) for each, row, n in zip(one_by_one(TAGGER, PARAMS, IDS), targets, LENGTHS) if n]
    wanted = np.concatenate([losses.cross_entropy(each, row) for each, row in alone])
    right = np.concatenate([each.argmax(-1) == row for each, row in alone])
    np.testing.assert_allclose(mean.value(), wanted.mean(), rtol=1e-6)
    assert int(mean.count) == 11 and float(metrics["accuracy"].value()) == right.mean().astype(np.float32)


def test_last_step_against_sequences_alone():
    weights = LENGTHS > 0
    mean, metrics = make_loss(TAGGER, losses.cross_entropy, at="last")(
        PARAMS, Batch(IDS, np.array([0, 1, 2, 0]), weights, LENGTHS), None
    )
    last = np.stack([each[-1] for each, n in zip(one_by_one(TAGGER, PARAMS, IDS), LENGTHS) if n])
    np.testing.assert_allclose(mean.value(), losses.cross_entropy(last, np.array([0, 1, 2])).mean(), rtol=1e-6)
    assert metrics == {}


def test_a_row_of_no_steps_reaches_no_gradient():
    loss = make_loss(TAGGER, losses.cross_entropy, at="last")
    batch = Batch(IDS, np.array([0, 1, 2, 0]), LENGTHS > 0, LENGTHS)
    without = Batch(IDS[:3], np.array([0, 1, 2]), np.ones(3, bool), LENGTHS[:3])
    grads = [jax.grad(lambda p, b=b: loss(p, b, None)[0].value())(PARAMS) for b in (batch, without)]
    chex.assert_trees_all_close(*grads, rtol=1e-5, atol=1e-7)


def test_a_forecast_of_several_steps_and_columns():
    model = stack(GRU(5), Dense(6))
    params = model.init(KEY, 2)
    xs, targets = RNG.normal(size=(4, 9, 2)).astype(np.float32), RNG.normal(size=(4, 3, 2)).astype(np.float32)
    batch = Batch(xs, targets, np.ones((4, 3), bool), np.full(4, 9))
    mean, _ = make_loss(model, losses.squared_error, at="last")(params, batch, None)
    forecast = np.asarray(scan(model, params, xs)[1])[:, -1].reshape(4, 3, 2)
    np.testing.assert_allclose(mean.value(), np.square(forecast - targets).mean(), rtol=1e-5)
    with pytest.raises(ArgumentError, match=r"forecasts 3 x 3 numbers ends in Dense\(9\)"):
        make_loss(model, losses.squared_error, at="last")(params, batch._replace(targets=np.zeros((4, 3, 3))), None)


@pytest.mark.parametrize("front", [stack(Embed(7, 4), Dropout(0.5)), stack(Norm(), Dropout(0.5, per="sequence"))])
def test_random_parts_draw_from_the_key_and_are_off_in_predictions(front):
    model = stack(front, GRU(4), Dense(3))
    inputs = IDS if front.feature_axes == 0 else RNG.normal(size=(4, 6, 3)).astype(np.float32)
    params = model.init(KEY, 3)
    loss = jax.jit(make_loss(model, losses.cross_entropy, at="last"))
    batch = Batch(inputs, np.zeros(4, int), np.ones(4, bool), np.full(4, 6))
    values = [float(loss(params, batch, jax.random.key(seed))[0].value()) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]
    wanted = scan(model.evaluation(), params, inputs)[1][:, -1]
    chex.assert_trees_all_close(predict(model, params, inputs), np.asarray(wanted), rtol=1e-6)
    with pytest.raises(ArgumentError, match=r"cell\.evaluation\(\)"):
        loss(params, batch, None)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_predictions_are_those_of_sequences_alone_in_their_order(batch_size):
    rows = [row[:n] for row, n in zip(IDS, LENGTHS) if n]
    wanted = [each for each in one_by_one(TAGGER, PARAMS, IDS) if len(each)]
    found = predict(TAGGER, PARAMS, rows, at="each", batch_size=batch_size)
    chex.assert_trees_all_close(found, wanted, rtol=1e-5, atol=1e-6)
    last = predict(TAGGER, PARAMS, rows, batch_size=batch_size)
    chex.assert_trees_all_close(last, np.stack([each[-1] for each in wanted]), rtol=1e-5, atol=1e-6)


def test_few_programs_are_compiled():
    rows = [IDS[0][: 1 + i % 6] for i in range(40)]
    chex.clear_trace_counter()

    @chex.assert_max_traces(n=4)  # of 1, 2, 4 and 6 steps
    def seen(y):
        return y

    class Seen(Dense):
        def apply(self, params, x):
            return seen(super().apply(params, x))

    model = stack(Embed(7, 4), Seen(3))
    assert predict(model, model.init(KEY, 0), sorted(rows, key=len), batch_size=4).shape == (40, 3)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: make_loss(GRU, losses.cross_entropy), ArgumentTypeError, "not the class"),
        (lambda: make_loss(TAGGER, "cross_entropy"), ArgumentTypeError, "compare must be a function"),
        (lambda: make_loss(TAGGER, losses.cross_entropy, metrics={"a": 1}), ArgumentTypeError, r"metrics\['a'\]"),
        (lambda: make_loss(TAGGER, losses.cross_entropy, at="end"), ArgumentError, '"each" or "last"'),
        (lambda: predict(TAGGER, PARAMS, [IDS[0]], at="all"), ArgumentError, '"each" or "last"'),
        (lambda: predict(TAGGER, PARAMS, []), ArgumentError, "inputs"),
        (lambda: predict(TAGGER, PARAMS, 5), ArgumentTypeError, "inputs must be a list of arrays"),
        (lambda: predict(TAGGER, PARAMS, [IDS[0]], batch_size=2.5), ArgumentTypeError, "batch_size must be a whole"),
        (lambda: make_loss(TAGGER, losses.accuracy, metrics=[losses.accuracy]), ArgumentTypeError, "must be a dict"),
        (lambda: make_loss(TAGGER, losses.accuracy, metrics=losses.accuracy), ArgumentTypeError, "must be a dict"),
        (lambda: make_loss(TAGGER, losses.accuracy)(PARAMS, (IDS, IDS), None), ArgumentTypeError, "Batch, found tuple"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(("wrong", "row"), [(7, [0, 7]), (-1, [-1]), (300, [1, 1, 1, 1, 300])])
def test_predict_gave_class_0_for_ids_outside_the_vocabulary(wrong, row):
    with pytest.raises(ArgumentError, match=rf"token id {wrong}, but ids must be in \[0, 7\)"):
        predict(TAGGER, PARAMS, [IDS[0], np.array(row)], batch_size=1)
    with pytest.raises(ArgumentTypeError, match="token ids of an integer dtype"):
        predict(TAGGER, PARAMS, np.zeros((2, 3), np.float32))


def start(params, key):
    return TAGGER.initial_carry(params, (2,))


def by_hand(params, batch, key, carry):
    """What `make_loss` makes for a stream."""
    carry, logits = scan(TAGGER, params, batch.inputs, carry)
    means = [Mean.of(f(logits, batch.targets), batch.weights) for f in (losses.cross_entropy, losses.accuracy)]
    return means[0], carry, {"accuracy": means[1]}


def test_a_loss_of_a_cell_took_no_carry():
    stream = Stream(RNG.integers(0, 3, 42), 2, 5)
    made = make_loss(TAGGER, losses.cross_entropy, metrics={"accuracy": losses.accuracy})
    results, scores = [], []
    for loss in (made, by_hand):
        step = make_train_step(loss, optax.sgd(0.1), carry=start)
        results.append(fit(step, step.init(PARAMS, KEY), stream, steps=6, progress=False).state)
        scores.append(evaluate(loss, results[-1].params, stream, carry=start))
    chex.assert_trees_all_close(*((state.params, state.carry) for state in results), rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(*scores, rtol=1e-5)
    assert scores[0].keys() == {"loss", "accuracy"}
    assert np.abs(jax.tree.leaves(results[0].carry)[0]).max() > 0
    without = evaluate(made, results[0].params, stream)["loss"]
    assert abs(without - scores[0]["loss"]) > 1e-5  # so that the carry plays a part


def test_a_loss_at_the_last_step_hands_the_carry_on():
    first, carry = Batch(IDS[:2, :3], np.zeros(2, int), np.ones(2, bool), np.full(2, 3)), start(PARAMS, None)
    loss = make_loss(TAGGER, losses.cross_entropy, at="last")
    _, carry, _ = loss(PARAMS, first, None, carry)
    mean, carry, metrics = loss(PARAMS, first._replace(inputs=IDS[:2, 3:]), None, carry)
    wanted, outputs = scan(TAGGER, PARAMS, IDS[:2])
    chex.assert_trees_all_close(carry, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean.value(), losses.cross_entropy(outputs[:, -1], np.zeros(2, int)).mean(), rtol=1e-5)
    assert metrics == {}


def test_evaluation_takes_the_same_loss():
    class Source:
        steps_per_epoch = 1

        def batch(self, step):
            return Batch(IDS, IDS % 3, REAL, LENGTHS)

    found = evaluate(make_loss(TAGGER, losses.cross_entropy, metrics={"accuracy": losses.accuracy}), PARAMS, Source())
    assert found.keys() == {"loss", "accuracy"} and 0 <= found["accuracy"] <= 1
