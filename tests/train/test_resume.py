"""A training that was stopped and goes on is one that was not."""

import os
import signal
import time

import chex
import jax
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax._internal.signals import stop_requests
from seqjax.train import Checkpoints, Evaluation, read_rows
from tests.train.problems import ADAM, PARAMS, Memory, checked, loss, source, timeless, train


@pytest.mark.parametrize("save_every", [3, None])
def test_stopping_and_going_on_changes_no_bit(tmp_path, save_every):
    options = dict(every=4, evaluation=Evaluation(checked, every=2), clip=1.0, ema=0.9)
    steps = 13
    whole = train(loss, PARAMS, ADAM, source(), steps=steps, log=tmp_path / "whole", **options)
    checkpoints = Memory(save_every)
    for stop in (5, 5, 6, steps):  # one of them has nothing left to do
        options |= dict(checkpoints=checkpoints, log=tmp_path / "parts")
        part = train(loss, PARAMS, ADAM, source(), steps=stop, **options)
    chex.assert_trees_all_equal(part.state, whole.state)
    chex.assert_trees_all_equal(part.params, whole.params)
    assert part.best == whole.best
    assert timeless(part.history) == timeless(whole.history)
    assert timeless(read_rows(tmp_path / "parts" / "metrics.jsonl")) == timeless(whole.history)
    assert max(checkpoints.saved) == steps
    assert set(checkpoints.saved) >= ({3, 6, 9, 12} if save_every else {2, 4, 6, 8, 10, 12})


def test_checkpoints_on_disk(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="orbax is not installed (extra: train)")
    options = dict(evaluation=Evaluation(checked, every=2), every=3, ema=0.9)
    whole = train(loss, PARAMS, ADAM, source(), steps=5, **options)
    for stop in (3, 5):
        part = train(loss, PARAMS, ADAM, source(), steps=stop, checkpoints=Checkpoints(tmp_path), **options)
    chex.assert_trees_all_equal((part.state, part.params), (whole.state, whole.params))
    assert part.best == whole.best


@pytest.mark.parametrize(
    "number, handler", [(signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)]
)
def test_a_signal_saves_and_ends(number, handler):
    """^C as SIGTERM: it once lost all since the last checkpoint."""
    before, checkpoints = signal.signal(number, handler), Memory(every=50)

    def evaluated(params):
        if len(checkpoints.saved) == 0:
            os.kill(os.getpid(), number)
        return {"loss": 0.0}

    options = dict(steps=50, every=20, evaluation=Evaluation(evaluated, every=7), checkpoints=checkpoints)
    try:
        result = train(loss, PARAMS, ADAM, source(), **options)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert result.reason == "terminated" and int(result.state.step) == 7
    assert checkpoints.latest() == 7
    assert train(loss, PARAMS, ADAM, source(), **options).reason == "steps"


def test_a_second_interrupt_does_not_wait():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def evaluated(params):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        raise AssertionError("the second one was not heard")

    try:
        with pytest.raises(KeyboardInterrupt):
            train(loss, PARAMS, ADAM, source(), steps=9, evaluation=Evaluation(evaluated, every=2))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_signal_stays_ignored():
    """The shell has programs in the background ignore ^C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_requests(signal.SIGINT) as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert not asked(True)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_finished_training_called_again_lost_its_last_row(tmp_path):
    options = dict(every=4, log=tmp_path, checkpoints=Memory())
    first, again = (train(loss, PARAMS, ADAM, source(), steps=6, **options) for _ in range(2))
    assert [row["step"] for row in first.history] == [4, 6] and first.history[1]["partial"]
    assert again.history == first.history == read_rows(tmp_path / "metrics.jsonl")
    longer = train(loss, PARAMS, ADAM, source(), steps=8, **options)
    assert [(row["step"], "partial" in row) for row in longer.history] == [(4, False), (8, False)]


# What a training that goes on says -------------------------------------------------------------------------------------


def scheduled(steps):
    return optax.adam(optax.cosine_decay_schedule(0.1, steps))


@pytest.mark.parametrize(
    "before, now, words",
    [
        ({"clip": 1.0}, {"clip": None}, ["clip (1.0 before, None now)"]),
        ({"ema": 0.9}, {"ema": 0.5}, ["ema (0.9 before, 0.5 now)"]),
        ({}, {"precision": "bfloat16"}, ["precision (None before, bfloat16 now)"]),
        (
            {},
            {"optimizer": optax.adam(0.03)},
            ["optimizer (its first update of a gradient of ones was -0.1, now -0.03)"],
        ),
        ({}, {"optimizer": optax.adam(0.1, b2=0.9)}, ["optimizer (its first update is the same, later ones are not)"]),
        ({"optimizer": scheduled(1000)}, {"optimizer": scheduled(2000)}, ["the same, later ones are not"]),
        (
            {"optimizer": optax.inject_hyperparams(optax.adam)(0.1)},
            {"optimizer": optax.inject_hyperparams(optax.adam)(0.03)},
            ["now -0.03; values of inject_hyperparams stay those of the checkpoint"],
        ),
        ({}, {"source": source(shuffle=False)}, ["source (its first batch is another)"]),
        ({}, {"source": source(5)}, ["source (its first batch is another)"]),
        (
            {"evaluation": Evaluation(checked)},
            {"evaluation": Evaluation(checked, higher_is_better=True)},
            ["metric (loss, lower is better before, loss, higher is better now); the best evaluation is sought anew"],
        ),
        ({}, {"key": jax.random.key(4)}, ["key (seed); that of the checkpoint stays. A new run?"]),
        ({"clip": 1.0}, {"accumulate": 2}, ["clip", "accumulate (1 before, 2 now)"]),
        ({"clip": 1.0}, {"clip": 1.0, "optimizer": optax.adam(0.1), "source": source()}, []),
    ],
)
def test_a_training_went_on_with_other_options_without_a_word(caplog, before, now, words):
    checkpoints = Memory()
    for steps, options in ((2, before), (4, now)):
        options = dict(optimizer=ADAM, source=source(), checkpoints=checkpoints, steps=steps) | options
        with caplog.at_level("WARNING", logger="seqjax"):
            train(loss, PARAMS, **options)
    said = [record.getMessage() for record in caplog.records if record.name == "seqjax"]
    assert len(said) == bool(words)
    for word in words:
        assert word in said[0] and said[0].startswith("going on from step 2 with changes: ")
