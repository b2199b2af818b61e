"""Sequences made in pieces, and what is measured on them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from experiments import million_steps
from experiments.million_steps import Config, Sequences, answers, flow_of, nats, pieces_of

LENGTH = 90  # 9 steps a piece, 10 pieces
MODEL = sj.stack(sj.RNN(3), sj.Dense(1))
PARAMS = MODEL.init(jax.random.key(0), 2)


def whole(sequences):
    steps, count = pieces_of(LENGTH)
    return jnp.concatenate([sequences.piece(jnp.int32(i), steps) for i in range(count)], axis=1)


def test_the_first_step_says_the_sign_and_no_other():
    sequences = Sequences(jax.random.key(3), 64)
    xs = np.asarray(whole(sequences))
    assert xs.shape == (64, LENGTH, 2)
    np.testing.assert_array_equal(xs[:, 0], np.stack([10 * sequences.signs(), np.full(64, 10.0)], 1))
    np.testing.assert_array_equal(xs[:, 1:, 1], 0)
    assert abs(xs[:, 1:, 0].mean()) < 0.01
    assert 0.09 < xs[:, 1:, 0].std() < 0.11
    assert len(np.unique(xs[:, 1:, 0])) > 0.99 * 64 * (LENGTH - 1)  # no piece repeats another
    assert 16 < np.sum(sequences.signs() > 0) < 48


def test_answers_are_the_last_output_of_the_whole_sequence():
    sequences = Sequences(jax.random.key(1), 4)
    want = sj.scan(MODEL, PARAMS, whole(sequences))[1][:, -1, 0]
    np.testing.assert_allclose(answers(MODEL, LENGTH, PARAMS, sequences), want, rtol=1e-5)
    loss, right = nats(MODEL, LENGTH, PARAMS, sequences)
    margins = np.asarray(sequences.signs() * want)
    np.testing.assert_allclose(loss, np.mean(np.log1p(np.exp(-margins))), rtol=1e-5)
    assert right == np.mean(margins > 0)


def test_the_flow_is_that_of_the_loss_of_one_sequence():
    """Its first entry is the gradient in the last state: |sigmoid(margin) - 1| times the readout."""
    sequences = Sequences(jax.random.key(1), 1)
    logs = flow_of(MODEL, LENGTH, PARAMS, sequences)
    assert len(logs) == LENGTH + 1
    margin = sequences.signs()[0] * answers(MODEL, LENGTH, PARAMS, sequences)[0]
    want = jax.nn.sigmoid(-margin) * jnp.linalg.norm(PARAMS["1"]["kernel"])
    np.testing.assert_allclose(np.exp(logs[0]), want, rtol=1e-4)


def test_distances_are_eight_a_decade():
    assert million_steps.distances(1000)[-9:] == [100, 133, 178, 237, 316, 422, 562, 750, 1000]


def test_training_learns_the_sign():
    config = Config(length=1000, updates=(0, 0, 0, 60), batch_size=8, learning_rate=1e-2)
    model = sj.stack(sj.LSTM(8, bias_init=sj.initializers.chrono(1000)), sj.Dense(1))
    params, taken = million_steps.fit(config, model, model.init(jax.random.key(0), 2))
    assert taken["updates"] == 60
    loss, right = jax.jit(nats, static_argnums=(0, 1))(model, 1000, params, Sequences(jax.random.key(9), 16))
    assert right == 1
    assert loss < 0.3
    chex.assert_tree_all_finite(params)


@pytest.mark.parametrize("wrong", [{"length": 999}, {"updates": (1, 2)}, {"batch_size": 0}, {"updates": (1, 1, 1, -1)}])
def test_wrong_options(wrong):
    with pytest.raises(sj.ArgumentError):
        million_steps.main(Config(**wrong))
