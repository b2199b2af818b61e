"""The parts of char_lm and polyphonic_music that could be wrong unseen, and the models that trainings leave."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest

import seqjax as sj
from experiments import char_lm, polyphonic_music
from seqjax import Ragged, batching, train
from seqjax.datasets import Dataset, Split
from tests.experiments.makers import RNG
from tests.experiments.test_questions import TINY as QUESTIONS


def test_floors_by_hand():
    def pieces(*rows):
        return Split(Ragged.of([np.array(row, np.uint8)[:, None] for row in rows]))

    data = Dataset({"train": pieces([1, 1, 0], [0, 0]), "test": pieces([1, 0])})
    bernoulli, markov = polyphonic_music.floors(data)
    assert bernoulli == pytest.approx(-np.log(1 - 2.5 / 6))  # two of five frames, the answer is 0
    assert markov == pytest.approx(-np.log(1 - 1.5 / 3))  # after a 1 came 1, 0


def test_noise_is_in_training_alone():
    model = sj.stack(sj.RNN(3), sj.Dense(88))
    params = model.init(jax.random.key(0), 88)
    seen = []

    def score(params, batch, key):
        seen.append(params)
        return 0.0

    polyphonic_music.add_noise(score, 0.1, params, None, jax.random.key(1))
    polyphonic_music.add_noise(score, 0.1, params, None, jax.random.key(2))
    first, second = (
        np.concatenate([np.ravel(a - b) for a, b in zip(jax.tree.leaves(p), jax.tree.leaves(params))]) for p in seen
    )
    assert np.std(first) == pytest.approx(0.1, rel=0.15)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_chunks_score_what_whole_pieces_score():
    pieces = Ragged.of([RNG.integers(0, 2, (t, 88), np.uint8) for t in (5, 1, 7, 8)])
    model = sj.stack(sj.RNN(3), sj.Dense(88))
    params = model.init(jax.random.key(0), 88)
    stream = polyphonic_music.chunks(pieces, 1, 4)
    carry, total, count = model.initial_carry(params, (1,)), 0.0, 0.0
    for step in range(stream.steps_per_epoch):
        found, carry = polyphonic_music.nats_of_chunk(model, params, stream.batch(step), None, carry)
        total, count = total + found.total, count + found.count
    whole = batching.Buckets(pieces[[0, 2, 3]], None, 3, buckets=1, shuffle=False).batch(0)
    expected = polyphonic_music.nats(model, params, whole, None)
    assert count == expected.count == 4 + 6 + 7
    np.testing.assert_allclose(total, expected.total, rtol=1e-6)


def test_transposed_pieces():
    pieces = Ragged.of([np.eye(88, dtype=np.uint8)[[40, 44]], np.eye(88, dtype=np.uint8)[[41]]])
    moved = polyphonic_music.transpose(pieces, 3, seed=0)
    keys = [tuple(np.nonzero(piece)[1]) for piece in moved]
    assert sorted(keys) == sorted([(40 + by, 44 + by) for by in range(-3, 4)] + [(41 + by,) for by in range(-3, 4)])
    assert keys != sorted(keys)
    assert polyphonic_music.transpose(pieces, 0, seed=0) is pieces
    with pytest.raises(sj.ArgumentError, match="room for 40 semitones, found 41"):
        polyphonic_music.transpose(pieces, 41, seed=0)


def test_music_in_chunks(small_data):
    config = polyphonic_music.Config(cell=("RNN(2)",), batch_size=2, epochs=2, chunk=3, final_rate=0.1)
    (row,) = polyphonic_music.main(config)["rows"]
    assert row["updates"] == 2 * ((sum(range(3, 12)) - 1) // 6)
    (constant,) = polyphonic_music.main(dataclasses.replace(config, final_rate=1.0))["rows"]
    assert np.isfinite(row["nats_per_frame"])
    assert row["nats_per_frame"] != constant["nats_per_frame"]


def test_entropy_of_equal_shares():
    ids = np.arange(8).repeat(3)
    assert char_lm.entropy(ids, ids, 8) == pytest.approx(3)


def test_a_language_model_is_used_on_new_text(small_data):
    """The folder of a training has all that is needed: cell, parameters and vocabulary."""
    options = {"parameters": 500, "batch_size": 4, "length": 8, "steps": 4, "every": 2}
    char_lm.main(char_lm.Config(cell=("GRU(3)",), **options))
    (folder,) = small_data.glob("runs/char_lm/*/units/*/checkpoints")
    model = train.load(folder)
    vocabulary = model.assets["vocabulary"]
    text = "that is not the question."
    _, logits = sj.scan(model.cell, model.params, vocabulary.encode(text)[None])
    assert logits.shape == (1, len(text), len(vocabulary))
    assert vocabulary.decode(vocabulary.encode(text)) == text


@pytest.mark.parametrize("name", ["adding", "temporal_order", "sequential_digits", "polyphonic_music"])
def test_a_training_can_be_loaded_without_its_code(small_data, name):
    module = importlib.import_module(f"experiments.{name}")
    module.main(module.Config(**QUESTIONS[name]))
    for folder in small_data.glob("runs/*/*/units/*/checkpoints"):
        model = train.load(folder)
        xs = np.zeros((1, 3, model.in_features), np.float32)
        _, ys = sj.scan(model.cell, model.params, xs)
        assert np.isfinite(ys).all()
