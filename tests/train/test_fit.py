"""The training loop: it adds nothing to the step, forgets nothing, and stops when it should."""

import json
import os
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

import optax

from seqjax.batching import Shuffled, Stream
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from seqjax.train import (
    Checkpoints,
    Curriculum,
    Evaluation,
    Log,
    Mean,
    cut,
    evaluate,
    fit,
    make_train_step,
    read_rows,
)
from seqjax.train._writer import Writer
from tests.train.test_step import close, init_state, same

KEY = jax.random.key(3)
ADAM = optax.adam(0.1)
ROWS = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
PARAMS = {"w": np.array([0.5, -1.0], np.float32)}


def source(batch_size=4, **options):
    """10 sequences of 3 steps: batches with a padded row or two."""
    return Shuffled(ROWS[:, :, None], None, batch_size, seed=1, **options)


def loss(params, batch, key):
    """Predicts the next value as w0 x + w1; the noise makes a wrong key seen."""
    guess = params["w"][0] * batch.inputs + params["w"][1] + 0.01 * jax.random.normal(key)
    return Mean.of(jnp.square(guess - batch.targets)[..., 0], batch.weights)


def score(params, batch, key):
    return loss(params, batch, jax.random.key(0))


def checked(params):
    return evaluate(score, params, source())


class Memory:
    """Checkpoints in memory, through bytes, so that nothing is shared with the training."""

    def __init__(self, every=None):
        self.saved, self.every = {}, every

    def save(self, step, tree, meta=None):
        leaves = [jax.random.key_data(a) if is_key(a) else a for a in jax.tree.leaves(tree)]
        self.saved[step] = [np.array(leaf) for leaf in leaves], json.dumps(meta, allow_nan=False)

    def latest(self):
        return max(self.saved, default=None)

    def restore(self, template):
        leaves, meta = self.saved[self.latest()]
        wanted, structure = jax.tree.flatten(template)
        leaves = [jax.random.wrap_key_data(a) if is_key(b) else jnp.array(a) for a, b in zip(leaves, wanted)]
        return self.latest(), jax.tree.unflatten(structure, leaves), json.loads(meta)


def is_key(leaf):
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def timeless(rows):
    return [{name: value for name, value in row.items() if name != "time"} for row in rows]


STEP_OPTIONS = ("clip", "accumulate", "ema", "precision", "carry", "max_skips")


def quiet(loss, params, optimizer, source, key=KEY, progress=False, **options):
    """A training from the beginning, without a bar."""
    step = make_train_step(loss, optimizer, **{name: options.pop(name) for name in STEP_OPTIONS if name in options})
    return fit(step, step.init(params, key), source, progress=progress, **options)


# The loop -------------------------------------------------------------------------------------------------------------


def test_fit_is_a_bare_loop_of_the_step_and_reports_exact_means(tmp_path):
    data = source()
    result = quiet(loss, PARAMS, ADAM, data, steps=11, every=4, clip=1.0, ema=0.9, log=tmp_path)
    step = jax.jit(make_train_step(loss, ADAM, clip=1.0, ema=0.9))
    state, told = init_state(PARAMS, ADAM, KEY, ema=True), []
    for i in range(11):
        state, metrics = step(state, data.batch(i))
        told.append(jax.device_get(metrics))
    close((result.state.params, result.state.opt_state), (state.params, state.opt_state), rtol=1e-6, atol=1e-9)
    same((result.state.step, result.state.key, result.params), (state.step, state.key, result.state.ema))
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
    names = compiled_programs(caplog, lambda: quiet(loss, PARAMS, ADAM, source(), **options))
    assert names.count("run") == 1 and names.count("<lambda>") == 1


def test_float64_throughout(x64, caplog):
    params = {"w": PARAMS["w"].astype(np.float64)}
    results = []
    names = compiled_programs(caplog, lambda: results.append(quiet(loss, params, ADAM, source(), steps=5, every=2)))
    assert names.count("run") == 1
    assert results[0].params["w"].dtype == np.float64 and results[0].state.step.dtype == np.int32


class Counted:
    def __init__(self, source):
        self.source, self.made = source, []

    def batch(self, step):
        self.made.append(step)
        return self.source.batch(step)


def compiled_programs(caplog, work):
    """Names of the functions compiled meanwhile."""
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        caplog.clear()
        work()
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling ")]
    return [line.split()[1].removeprefix("jit(").removesuffix(")") for line in lines]


def test_a_curriculum_compiles_once_a_shape(caplog):
    data = Curriculum(
        lambda step, n, padded: cut(long.batch(step), n, padded), lambda step: 1 + step, shapes=(3, 6, 12)
    )
    long = Shuffled(np.arange(60, dtype=np.float32).reshape(5, 12, 1) / 60, np.ones((5, 12), np.float32), 5)
    seen = [(data.batch(step).inputs.shape[1], int(data.batch(step).weights.sum(1).max())) for step in range(12)]
    assert seen == [(3, 1), (3, 2), (3, 3), (6, 4), (6, 5), (6, 6)] + [(12, n) for n in range(7, 13)]

    def ones(params, batch, key):
        return Mean.of(jnp.square(params["w"][0] * batch.inputs[..., 0] - batch.targets), batch.weights)

    names = compiled_programs(caplog, lambda: quiet(ones, PARAMS, ADAM, data, steps=12, every=5))
    assert names.count("run") == 3


def test_what_a_curriculum_cuts():
    batch = source(shuffle=False).batch(0)
    short = cut(batch, 1, 2)
    np.testing.assert_array_equal(short.inputs, ROWS[:4, :2, None])
    np.testing.assert_array_equal(short.targets, ROWS[:4, 1:3, None])
    assert short.weights.tolist() == [[True, False]] * 4 and short.lengths.tolist() == [1] * 4
    same(cut(batch, 9, 16), batch)
    same(jax.tree.map(np.asarray, cut(jax.tree.map(jnp.asarray, batch), 2, 2)), cut(batch, 2, 2))
    powers = Curriculum(lambda *numbers: numbers, lambda step: step)
    assert [powers.batch(n) for n in (1, 2, 3, 8, 9)] == [(1, 1, 1), (2, 2, 2), (3, 3, 4), (8, 8, 8), (9, 9, 16)]
    half = Curriculum(lambda *_: batch, lambda step: 3).batch(0, 1, 2)
    np.testing.assert_array_equal(half.inputs, batch.inputs[2:])


@pytest.mark.parametrize("save_every", [3, None])
def test_stopping_and_going_on_changes_no_bit(tmp_path, save_every):
    options = dict(every=4, evaluation=Evaluation(checked, every=2), clip=1.0, ema=0.9)
    steps = 13
    whole = quiet(loss, PARAMS, ADAM, source(), steps=steps, log=tmp_path / "whole", **options)
    checkpoints = Memory(save_every)
    for stop in (5, 5, 6, steps):  # one of them has nothing left to do
        options |= dict(checkpoints=checkpoints, log=tmp_path / "parts")
        part = quiet(loss, PARAMS, ADAM, source(), steps=stop, **options)
    same(part.state, whole.state)
    same(part.params, whole.params)
    assert part.best == whole.best
    assert timeless(part.history) == timeless(whole.history)
    assert timeless(read_rows(tmp_path / "parts" / "metrics.jsonl")) == timeless(whole.history)
    assert max(checkpoints.saved) == steps
    assert set(checkpoints.saved) >= ({3, 6, 9, 12} if save_every else {2, 4, 6, 8, 10, 12})


def test_checkpoints_on_disk(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="orbax is not installed (extra: train)")
    options = dict(evaluation=Evaluation(checked, every=2), every=3, ema=0.9)
    whole = quiet(loss, PARAMS, ADAM, source(), steps=5, **options)
    for stop in (3, 5):
        part = quiet(loss, PARAMS, ADAM, source(), steps=stop, checkpoints=Checkpoints(tmp_path), **options)
    same((part.state, part.params), (whole.state, whole.params))
    assert part.best == whole.best


def test_sigterm_saves_and_ends(tmp_path):
    before, checkpoints = signal.getsignal(signal.SIGTERM), Memory(every=50)

    def evaluated(params):
        if len(checkpoints.saved) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"loss": 0.0}

    options = dict(steps=50, every=20, evaluation=Evaluation(evaluated, every=7), checkpoints=checkpoints)
    result = quiet(loss, PARAMS, ADAM, source(), **options)
    assert result.reason == "terminated" and int(result.state.step) == 7
    assert checkpoints.latest() == 7
    assert signal.getsignal(signal.SIGTERM) is before
    assert quiet(loss, PARAMS, ADAM, source(), **options).reason == "steps"


def test_in_another_thread_there_are_no_signals():
    done = []
    thread = threading.Thread(target=lambda: done.append(quiet(loss, PARAMS, ADAM, source(), steps=2)))
    thread.start()
    thread.join(60)
    assert done[0].reason == "steps"


def test_too_many_skipped_steps_are_an_error_that_names_the_leaf():
    params = {"bad": np.zeros(1, np.float32), "w": PARAMS["w"]}

    def fails_at(first, last):
        def wrong(params, batch, key):
            step = jnp.round(jnp.sum(batch[1])).astype(jnp.int32)
            inside = (step >= first) & (step < last)
            return jnp.sum(params["w"] ** 2) + jnp.sum(jnp.sqrt(jnp.where(inside, params["bad"], 1.0)))

        return wrong

    class Numbered:
        def batch(self, step):
            return np.zeros(1, np.float32), np.array([step], np.float32)

    checkpoints = Memory(every=3)
    with pytest.raises(ArgumentError, match=r"3 steps in a row.*step 6, .*params\['bad'\] was not finite") as caught:
        quiet(
            fails_at(4, 7),
            params,
            ADAM,
            Numbered(),
            steps=30,
            every=9,
            max_skips=3,
            checkpoints=checkpoints,
        )
    assert "'w'" not in str(caught.value)
    assert checkpoints.latest() == 6  # of after the step 5, when two had been skipped
    fine = quiet(fails_at(4, 7), params, ADAM, Numbered(), steps=12, every=4, max_skips=4)
    assert [row["skipped"] for row in fine.history] == [0.0, 0.75, 0.0]
    with pytest.raises(ArgumentError, match="the loss, though not its gradient"):
        quiet(lambda p, b, k: jnp.sum(p["w"]) + jnp.inf, params, ADAM, Numbered(), steps=12, max_skips=2)
    none = quiet(lambda p, b, k: jnp.sum(p["w"]) * jnp.nan, params, ADAM, Numbered(), steps=4, every=2)
    assert np.isnan([row["loss"] for row in none.history]).all()


# Evaluation, and stopping early ---------------------------------------------------------------------------------------


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

    result = quiet(
        loss, PARAMS, ADAM, source(), steps=60, evaluation=Evaluation(scripted, every=2, patience=3, metric="error")
    )
    assert (result.reason, result.best, int(result.state.step)) == ("patience", (4, 1.0), 10)
    same(result.params, jax.tree.map(jnp.asarray, seen[1]))
    assert [r["evaluation/error"] for r in result.history if "evaluation/error" in r][:2] == [3.0, 1.0]
    values = iter([3.0, 1.0, 5.0, 2.0, 1.0, 0.0])
    options = dict(evaluation=Evaluation(scripted, every=2, metric="error", higher_is_better=True))
    assert quiet(loss, PARAMS, ADAM, source(), steps=12, **options).best == (6, 5.0)


def test_patience_that_has_run_out_is_remembered():
    checkpoints, calls = Memory(), []
    evaluation = Evaluation(lambda p: calls.append(1) or {"loss": 1.0}, every=2, patience=2)
    options = dict(steps=60, evaluation=evaluation)
    for _ in range(2):
        result = quiet(loss, PARAMS, ADAM, source(), checkpoints=checkpoints, **options)
        assert (result.reason, int(result.state.step), len(calls)) == ("patience", 6, 3)


@pytest.mark.parametrize("higher, values, steps", [(False, [3.0, 1.5, 1.0, 0.5], 6), (True, [0.5, 0.2, 1.0], 6)])
def test_a_target_ends_the_training(higher, values, steps):
    checkpoints, left = Memory(), iter(values)
    options = dict(evaluation=Evaluation(lambda p: {"loss": next(left)}, every=2, target=1.0, higher_is_better=higher))
    for _ in range(2):  # called again it has nothing to do
        result = quiet(loss, PARAMS, ADAM, source(), steps=60, checkpoints=checkpoints, **options)
        assert (result.reason, int(result.state.step), result.best.value) == ("target", steps, 1.0)


# Log and progress -----------------------------------------------------------------------------------------------------


def test_a_log_is_cut_back_to_where_the_run_goes_on(tmp_path):
    log = Writer(Log(tmp_path), 0, True, False)
    for step in (2, 4, 6):
        log.write({"step": step, "loss": float("nan"), "norm": float("inf"), "low": -float("inf")})
    log.close()
    path = tmp_path / "metrics.jsonl"
    strict = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert strict[0] == {"step": 2, "loss": None, "norm": None, "low": None}
    assert np.isnan([read_rows(path)[0][name] for name in ("loss", "norm", "low")]).all()
    with path.open("a") as file:
        file.write('{"step": 8, "lo')  # killed
    assert [row["step"] for row in read_rows(path)] == [2, 4, 6]
    with pytest.raises(ArgumentError, match="holds an earlier run"):
        Writer(Log(tmp_path), 0, True, False)
    again = Writer(Log(tmp_path), 5, True, True)
    assert [row["step"] for row in again.rows] == [2, 4]
    again.write({"step": 6, "loss": 1.0})
    assert [row["step"] for row in read_rows(path)] == [2, 4, 6]  # before it is closed
    again.close()
    assert os.listdir(tmp_path) == ["metrics.jsonl"]


def test_an_unwritable_log(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        quiet(loss, PARAMS, ADAM, source(), steps=2, log=tmp_path / "file")


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    quiet(loss, PARAMS, ADAM, source(), steps=4, every=2, log=Log(tmp_path, tensorboard=True))
    (events,) = tmp_path.glob("events.*")
    content = events.read_bytes()
    assert b"loss" in content and b"norm" in content and b"time" not in content


def test_fit_shows_progress_where_there_is_no_terminal(capsys):
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra: train)")
    quiet(loss, PARAMS, ADAM, source(), steps=4, every=2, progress=True)
    err = capsys.readouterr().err
    last = err.splitlines()[-1]
    assert "4/4" in last and "loss" in last and "steps/s" in last and "\r" not in err


# Bad input ------------------------------------------------------------------------------------------------------------


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
        quiet(**given)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"every": 0}, ArgumentError, "every"),
        ({"target": "low"}, ArgumentTypeError, "target must be a number"),
        ({"target": float("nan")}, ArgumentTypeError, "target must be a number"),
        ({"patience": 0}, ArgumentError, "patience"),
        ({"function": source()}, ArgumentTypeError, "train.evaluate"),
        ({"metric": None}, ArgumentTypeError, "metric must be the name"),
        ({"higher_is_better": 1}, ArgumentTypeError, "higher_is_better must be True or False"),
    ],
)
def test_an_evaluation_that_cannot_be_right(options, error, words):
    with pytest.raises(error, match=words):
        Evaluation(**({"function": checked} | options))


def test_what_is_given_to_fit_is_checked():
    step = make_train_step(loss, ADAM)
    state = step.init(PARAMS, KEY)
    with pytest.raises(ArgumentTypeError, match="make_train_step returns, found .* fit compiles it itself"):
        fit(jax.jit(step), state, source(), steps=1)
    with pytest.raises(ArgumentTypeError, match=r"as step.init\(params, key\), found dict"):
        fit(step, PARAMS, source(), steps=1)


def test_the_state_that_is_given_is_still_there():
    step = make_train_step(loss, ADAM, ema=0.5)
    state = step.init(PARAMS, KEY)
    first, second = (fit(step, state, source(), steps=3, progress=False) for _ in range(2))
    same(first.state, second.state)
    same(state, step.init(PARAMS, KEY))


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


def test_bad_curricula():
    with pytest.raises(ArgumentTypeError, match="sample must be a function"):
        Curriculum(source(), lambda step: 3)
    with pytest.raises(ArgumentError, match="rising"):
        Curriculum(lambda *n: n, lambda step: 3, shapes=(4, 4))
    with pytest.raises(ArgumentError, match="at least 9 steps"):
        Curriculum(lambda *n: n, lambda step: 9, shapes=(4, 8)).batch(0)
    with pytest.raises(ArgumentError, match=r"length\(2\)"):
        Curriculum(lambda *n: n, lambda step: 0).batch(2)
    labels = Shuffled(ROWS[:, :, None], np.zeros(10, np.int32), 4).batch(0)
    with pytest.raises(ArgumentError, match="label of a whole sequence"):
        cut(labels, 2, 2)
