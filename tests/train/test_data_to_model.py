"""From the name of a data set to a gradient in a few lines, for each kind of data. Slow: uses the real sets."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import GRU, Dense, Embed, Ragged, batching, losses, scan, stack, text
from seqjax.datasets import log_mel, pixels, vectors
from tests.datasets.test_real import reach

pytestmark = pytest.mark.slow


def losses_of_training(model, in_features, source, loss, steps=30):
    """The losses of a few steps of Adam."""
    params = model.init(jax.random.key(0), in_features)
    adam = optax.adam(3e-3)
    state = adam.init(params)

    @jax.jit
    def update(params, state, batch):
        value, grads = jax.value_and_grad(loss)(params, batch)
        change, state = adam.update(grads, state)
        return optax.apply_updates(params, change), state, value

    found = []
    for step in range(steps):
        params, state, value = update(params, state, source.batch(step))
        found.append(float(value))
    return found


def per_step(model, per_element):
    def loss(params, batch):
        _, outputs = scan(model, params, batch.inputs, lengths=batch.lengths)
        return losses.weighted_mean(per_element(outputs, batch.targets), batch.weights)

    return loss


def at_the_end(model):
    def loss(params, batch):
        _, outputs = scan(model, params, batch.inputs, lengths=batch.lengths)
        last = losses.last(outputs, jnp.maximum(batch.lengths, 1))
        return losses.weighted_mean(losses.cross_entropy(last, batch.targets), batch.weights)

    return loss


def text_classes():
    data = reach("reuters_r8")
    words = text.Vocabulary.words(data.train.inputs.texts(), max_size=2000, specials=("<pad>", "<unk>"))
    short = [ids[:100] for ids in words.encode_all(data.train.inputs.texts())]
    model = stack(Embed(len(words), 16), GRU(16), Dense(len(data.target_names)))
    return model, 0, batching.Shuffled(short, data.train.targets, 16), at_the_end(model)


def tags():
    data = reach("brown")
    part = data.train[:2000]
    model = stack(Embed(len(data.input_names), 16), GRU(16), Dense(len(data.target_names)))
    source = batching.Buckets(part.inputs, part.targets, 16, buckets=2)
    return model, 0, source, per_step(model, losses.cross_entropy)


def letters():
    data = reach("ocr_letters").train
    model = stack(GRU(16), Dense(26))
    source = batching.Shuffled(vectors(data.inputs), data.targets, 16)
    return model, 128, source, per_step(model, losses.cross_entropy)


def language():
    data = reach("penn_treebank")
    model = stack(Embed(len(data.input_names), 16), GRU(16), Dense(len(data.input_names)))
    return model, 0, batching.Stream(data.valid.inputs, 8, 20), per_step(model, losses.cross_entropy)


def translation():
    data = reach("multi30k_en_de").train[:2000]
    letters = text.Vocabulary.bytes(specials=("<pad>", "<bos>", "<eos>"))
    source = batching.Shuffled(
        letters.encode_all(data.inputs.texts()), letters.encode_all(data.targets.texts(), end=True), 8, pairs=True
    )
    encoder, decoder = GRU(16), stack(Embed(len(letters), 16), GRU(16), Dense(len(letters)))
    model = stack(Embed(len(letters), 16), encoder)

    def loss(params, batch):
        carry, _ = scan(model, params["encoder"], batch.inputs, lengths=batch.lengths)
        shifted = jnp.pad(batch.targets[:, :-1], ((0, 0), (1, 0)), constant_values=letters.begin)
        start = decoder.initial_carry(params["decoder"], (8,))
        start = (start[0], carry[1], start[2])
        _, logits = scan(decoder, params["decoder"], shifted, start, mask=batch.weights)
        return losses.weighted_mean(losses.cross_entropy(logits, batch.targets), batch.weights)

    class Both:
        @staticmethod
        def init(key, in_features):
            return {"encoder": model.init(key, 0), "decoder": decoder.init(key, 0)}

    return Both, 0, source, loss


def music():
    data = reach("jsb_chorales")
    model = stack(GRU(16), Dense(88))
    return (
        model,
        88,
        batching.Shuffled(vectors(data.train.inputs), None, 16),
        per_step(model, losses.sigmoid_binary_cross_entropy),
    )


def forecast():
    data = reach("etth1")
    scaler = batching.Scaler.fit(data.train.inputs)
    source = batching.Windows(scaler(data.train.inputs), 48, 12, batch_size=16)
    model = stack(GRU(16), Dense(7 * 12))

    def loss(params, batch):
        _, outputs = scan(model, params, batch.inputs, lengths=batch.lengths)
        return losses.weighted_mean(
            losses.squared_error(outputs[:, -1].reshape(-1, 12, 7), batch.targets), batch.weights
        )

    return model, 7, source, loss


def series():
    data = reach("japanese_vowels")
    model = stack(GRU(16), Dense(9))
    return model, 12, batching.Shuffled(data.train.inputs, data.train.targets, 16), at_the_end(model)


def speech():
    data = reach("free_spoken_digits").train.hold_out(300)[1]
    model = stack(GRU(16), Dense(10))
    features = Ragged.of(log_mel(wave) for wave in data.inputs)
    return model, 40, batching.Shuffled(features, data.targets, 16), at_the_end(model)


def digits():
    data = reach("mnist").train[:1000]
    model = stack(GRU(16), Dense(10))
    return model, 28, batching.Shuffled(vectors(data.inputs, 255), data.targets, 16), at_the_end(model)


def pixel_by_pixel():
    data = reach("digits").train
    model = stack(GRU(16), Dense(10))
    return model, 1, batching.Shuffled(pixels(data.inputs), data.targets, 16), at_the_end(model)


def video():
    data = reach("moving_mnist").train[:50]
    model = stack(GRU(16), Dense(64 * 64))
    source = batching.Shuffled(vectors(data.inputs, 255), None, 8)
    return model, 64 * 64, source, per_step(model, losses.sigmoid_binary_cross_entropy)


def paths():
    data = reach("football").valid
    xy = Ragged(data.inputs.values[:, :2] / np.float32(50), data.inputs.offsets)
    model = stack(GRU(16), Dense(2))
    return model, 2, batching.Buckets(xy, None, 16, buckets=2), per_step(model, losses.squared_error)


@pytest.mark.parametrize(
    "kind",
    [text_classes, tags, letters, language, translation, music, forecast, series, speech, digits, pixel_by_pixel,
     video, paths],
    ids=lambda kind: kind.__name__,
)  # fmt: skip
def test_a_few_steps_of_training_lower_the_loss(kind):
    model, in_features, source, loss = kind()
    found = losses_of_training(model, in_features, source, loss)
    assert np.isfinite(found).all() and np.mean(found[-5:]) < np.mean(found[:5])
