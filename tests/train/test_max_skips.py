"""What a training says of steps that are skipped."""

import logging

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")

from seqjax.batching import Shuffled
from seqjax.errors import ArgumentError
from seqjax.losses import cross_entropy
from seqjax.train import Mean
from tests.train.problems import ADAM, PARAMS, Memory, train


class Numbered:
    """Batches that hold their number."""

    def batch(self, step):
        return np.zeros(1, np.float32), np.array([step], np.float32)


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
    with pytest.raises(
        ArgumentError, match=r"3 steps in a row.*step 6, .*inf in the gradient or .* of params\['bad'\]\."
    ) as caught:
        train(
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
    fine = train(fails_at(4, 7), params, ADAM, Numbered(), steps=12, every=4, max_skips=4)
    assert [row["skipped"] for row in fine.history] == [0.0, 0.75, 0.0]
    with pytest.raises(ArgumentError, match=r"NaN or inf in the loss\."):
        train(lambda p, b, k: jnp.sum(p["w"]) + jnp.inf, params, ADAM, Numbered(), steps=12, max_skips=2)
    none = train(lambda p, b, k: jnp.sum(p["w"]) * jnp.nan, params, ADAM, Numbered(), steps=4, every=2)
    assert np.isnan([row["loss"] for row in none.history]).all()


def warnings_of(caplog, work):
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="seqjax"):
        work()
    return [record.getMessage() for record in caplog.records if record.name == "seqjax"]


def test_a_plain_mean_over_padded_rows_was_skipped_in_silence(caplog):
    """Of 5 sequences in batches of 3 the second batch has a row of padding, whose mean over 0 steps is NaN."""
    rows = [np.full((n, 1), 0.5, np.float32) for n in (3, 2, 4, 3, 2)]
    source = Shuffled(rows, np.zeros(5, np.int32), 3, shuffle=False)

    def plain(params, batch, key):
        real = jnp.arange(batch.inputs.shape[1])[None] < batch.lengths[:, None]
        means = jnp.where(real, batch.inputs[..., 0], 0).sum(1) / batch.lengths
        return cross_entropy(means[:, None] * params["w"][None], batch.targets).mean()

    (said,) = warnings_of(caplog, lambda: train(plain, PARAMS, ADAM, source, steps=8, every=2))
    assert said.startswith("step 1 was skipped (1 up to now): NaN or inf in the loss and the gradient or the new value")
    assert "1 of the 3 rows of its batch are padding" in said and "Mean.of(values, batch.weights)" in said
    assert "params['w']" in said


def test_a_batch_in_which_nothing_counts_was_put_down_to_a_plain_mean(caplog):
    class Unweighted:
        def batch(self, step):
            batch = Shuffled(np.ones((2, 3, 1), np.float32), np.zeros(2, np.float32), 2).batch(step)
            return batch._replace(weights=np.zeros(2, bool))

    weighted = lambda params, batch, key: Mean.of(params["w"] * batch.inputs[:, 0, 0], batch.weights)
    (said,) = warnings_of(caplog, lambda: train(weighted, PARAMS, ADAM, Unweighted(), steps=4, every=2))
    assert "No target of its batch counts (its weights are all 0)." in said and "plain mean" not in said


def test_the_optimiser_is_named_where_its_state_is_to_blame(caplog):
    steep = lambda params, batch, key: 1e26 * jnp.sum(params["w"])
    (said,) = warnings_of(caplog, lambda: train(steep, PARAMS, ADAM, Numbered(), steps=4, every=2))
    assert "NaN or inf in the optimiser's state of params['w'] ([0].nu), though not in the gradient" in said
    with pytest.raises(
        ArgumentError, match=r"4 steps in a row .* the optimiser's state of params\['w'\] .* clip= helps"
    ):
        train(steep, PARAMS, ADAM, Numbered(), steps=4, every=4, max_skips=4)


def test_nothing_is_said_where_nothing_is_skipped(caplog):
    fine = lambda params, batch, key: jnp.sum(params["w"] ** 2)
    assert warnings_of(caplog, lambda: train(fine, PARAMS, ADAM, Numbered(), steps=4, every=2)) == []
