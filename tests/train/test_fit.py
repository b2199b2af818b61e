"""The training loop: it adds nothing to the step, and compiles once."""

import threading

import chex
import jax
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")


from seqjax.train import Evaluation, evaluate, fit, make_train_step, read_rows
from tests.train.problems import ADAM, KEY, PARAMS, compiled_programs, loss, score, source, state_of, train


def test_fit_is_a_bare_loop_of_the_step_and_reports_exact_means(tmp_path):
    data = source()
    result = train(loss, PARAMS, ADAM, data, steps=11, every=4, clip=1.0, ema=0.9, log=tmp_path)
    step = jax.jit(make_train_step(loss, ADAM, clip=1.0, ema=0.9))
    state, told = state_of(PARAMS, ADAM, KEY, ema=True), []
    for i in range(11):
        state, metrics = step(state, data.batch(i))
        told.append(jax.device_get(metrics))
    chex.assert_trees_all_close(
        (result.state.params, result.state.opt_state), (state.params, state.opt_state), rtol=1e-6, atol=1e-9
    )
    chex.assert_trees_all_equal(
        (result.state.step, result.state.key, result.params), (state.step, state.key, result.state.ema)
    )
    assert (result.reason, result.best) == ("steps", None)
    assert [row["step"] for row in result.history] == [4, 8, 11]
    assert [row.get("partial", False) for row in result.history] == [False, False, True]
    for row, part in zip(result.history, (told[:4], told[4:8], told[8:])):
        total = sum(float(m["loss"].total) for m in part) / sum(int(m["loss"].count) for m in part)
        np.testing.assert_allclose(row["loss"], total, rtol=1e-6)
        np.testing.assert_allclose(row["norm"], np.mean([float(m["norm"].total) for m in part]), rtol=1e-6)
    assert read_rows(tmp_path / "metrics.jsonl") == result.history


def test_one_compilation_whatever_is_reported_and_evaluated(caplog):
    mine = lambda params, batch, key: score(params, batch, key)
    options = dict(steps=20, every=3, evaluation=Evaluation(lambda p: evaluate(mine, p, source()), every=5), ema=0.5)
    names = compiled_programs(caplog, lambda: train(loss, PARAMS, ADAM, source(), **options))
    assert names.count("run") == 1 and names.count("<lambda>") == 1


def test_the_loss_is_traced_once():
    once = chex.assert_max_traces(loss, n=1)
    result = train(once, PARAMS, ADAM, source(), steps=9, every=2)
    chex.assert_tree_all_finite((result.params, result.state.opt_state))


def test_float64_throughout(x64, caplog):
    params = {"w": PARAMS["w"].astype(np.float64)}
    results = []
    names = compiled_programs(caplog, lambda: results.append(train(loss, params, ADAM, source(), steps=5, every=2)))
    assert names.count("run") == 1
    assert results[0].params["w"].dtype == np.float64 and results[0].state.step.dtype == np.int32


def test_the_state_that_is_given_is_still_there():
    step = make_train_step(loss, ADAM, ema=0.5)
    state = step.init(PARAMS, KEY)
    first, second = (fit(step, state, source(), steps=3, progress=False) for _ in range(2))
    chex.assert_trees_all_equal(first.state, second.state)
    chex.assert_trees_all_equal(state, step.init(PARAMS, KEY))


def test_in_another_thread_there_are_no_signals():
    done = []
    thread = threading.Thread(target=lambda: done.append(train(loss, PARAMS, ADAM, source(), steps=2)))
    thread.start()
    thread.join(60)
    assert done[0].reason == "steps"


def test_fit_shows_progress_where_there_is_no_terminal(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra: train)")
    train(loss, PARAMS, ADAM, source(), steps=4, every=2, progress=True)
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert "4/4" in last and "loss" in last and "steps/s" in last and "\r" not in err
