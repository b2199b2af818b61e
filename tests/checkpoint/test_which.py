"""Which parameters `load` gives of a training: what `fit` returned, unless others are named."""

import chex
import jax
import numpy as np
import optax
import pytest

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")

from seqjax import ArgumentError, ArgumentTypeError, Dense, scan
from seqjax.checkpoint import Checkpoints, load
from seqjax.train import Evaluation, Mean, fit, make_train_step

CELL = Dense(1)


class Source:
    """Lines through the origin."""

    def batch(self, step):
        xs = np.random.default_rng(step).normal(size=(8, 3, 2)).astype(np.float32)
        return xs, xs.sum(-1, keepdims=True)


def loss(params, batch, key):
    return Mean.of((scan(CELL, params, batch[0])[1] - batch[1]) ** 2)


def train_it(folder, ema=None, **options):
    params = CELL.init(jax.random.key(0), 2)
    checkpoints = Checkpoints(folder, cell=CELL, in_features=2)
    step = make_train_step(loss, optax.sgd(0.1), ema=ema)
    state = step.init(params, jax.random.key(1))
    return fit(step, state, Source(), steps=4, every=1, progress=False, checkpoints=checkpoints, **options)


def worse_each_time():
    """An evaluation whose first value is the best."""
    values = iter(range(100))
    return Evaluation(lambda params: {"loss": float(next(values))})


def test_load_gave_the_last_parameters_where_fit_returned_the_best(tmp_path):
    result = train_it(tmp_path, evaluation=worse_each_time())
    assert result.best.step == 1
    chex.assert_trees_all_equal(load(tmp_path).params, load(tmp_path, which="best").params, result.params)
    chex.assert_trees_all_equal(load(tmp_path, which="last").params, result.state.params)
    assert not np.array_equal(result.params["kernel"], result.state.params["kernel"])


def test_load_gave_the_last_parameters_where_fit_returned_the_average(tmp_path):
    result = train_it(tmp_path, ema=0.9)
    chex.assert_trees_all_equal(load(tmp_path).params, load(tmp_path, which="average").params, result.params)
    assert not np.array_equal(result.params["kernel"], load(tmp_path, which="last").params["kernel"])
    with pytest.raises(ArgumentError, match=r"which='best': .* no evaluation was made in it.*Found: average, last"):
        load(tmp_path, which="best")


def test_a_training_with_nothing_but_last_parameters(tmp_path):
    result = train_it(tmp_path)
    chex.assert_trees_all_equal(load(tmp_path).params, load(tmp_path, which="last").params, result.params)
    with pytest.raises(ArgumentError, match=r"which='average': .* none was asked for \(ema\). Found: last"):
        load(tmp_path, which="average")
    with pytest.raises(ArgumentError, match=r"which is 'avrage', which is not known. Perhaps you meant 'average'"):
        load(tmp_path, which="avrage")


def test_before_the_first_evaluation_nothing_is_the_best(tmp_path):
    params = CELL.init(jax.random.key(0), 2)
    start = jax.tree.map(np.zeros_like, params)
    checkpoints = Checkpoints(tmp_path, cell=CELL, in_features=2)
    for value, wanted in ((None, params), (0.5, start)):
        checkpoints.save(1, {"state": {"params": params}, "best": start}, {"best": {"value": value}})
        chex.assert_trees_all_equal(load(tmp_path).params, wanted)


def test_evaluations_that_were_all_nan_were_said_not_to_have_been_made(tmp_path):
    train_it(tmp_path, evaluation=Evaluation(lambda params: {"loss": float("nan")}))
    with pytest.raises(ArgumentError, match=r"which='best': .* no evaluation in it gave a number \(all were NaN\)"):
        load(tmp_path, which="best")


@pytest.mark.parametrize(("given", "hint"), [("best", "best"), ("last", "last"), ("GRU(4)", "best")])
def test_which_given_in_the_place_of_the_cell(tmp_path, given, hint):
    with pytest.raises(ArgumentTypeError, match=rf"cell must be a cell, found '.*'. .*Write which='{hint}'"):
        load(tmp_path, given)
    with pytest.raises(TypeError, match="positional"):
        load(tmp_path, None, "best")
