"""The coverage penalty against a NumPy transcription of Wu et al. 2016, equation 14, and how weights are found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax.decode import beam, generate, gnmt
from seqjax.decode.coverage import cover, find, uncovered
from seqjax.decode.scoring import coverage_penalty
from seqjax.decode.strategy import Sizes
from seqjax.errors import ArgumentError
from tests.attending_cells import AttendingLSTM
from tests.decode.exhaustive import all_texts

V, STEPS, STOP = 3, 5, 2


def wu(log_p, weights, alpha, beta):
    """s(Y, X) = log P(Y | X) / lp(Y) + cp(X; Y), word for word; weights [T, S]."""
    lp = (5 + len(weights)) ** alpha / (5 + 1) ** alpha
    cp = beta * sum(np.log(min(sum(weights[j][i] for j in range(len(weights))), 1.0)) for i in range(weights.shape[1]))
    return log_p / lp + cp


def test_scores(x64):
    """All results of a full-width beam: order and scores of all texts, whose weights are seen by a trace of each."""
    cell = sj.stack(sj.Embed(V, 6), AttendingLSTM(8), sj.Dense(V))
    params = jax.tree.map(lambda a: 3 * a, cell.init(jax.random.key(0), 0, jnp.float64))
    carry = cell.initial_carry(params, (1,), memory=jax.random.normal(jax.random.key(1), (1, 5, 8), jnp.float64))
    beta, prompt, texts = 0.7, np.array([[1, 0]]), list(all_texts(V, STEPS, STOP))
    strategy = beam(V**STEPS, length_penalty=gnmt(0.6), coverage=beta)
    result = generate(cell, params, prompt, steps=STEPS, strategy=strategy, stop=STOP, carry=carry)
    padded = np.array([(*text, *(0,) * (STEPS - len(text))) for text in texts])
    xs = jnp.asarray(np.concatenate([np.repeat(prompt, len(texts), axis=0), padded], axis=1))
    many = jax.tree.map(lambda a: jnp.repeat(a, len(texts), axis=0), carry)
    _, logits, seen = sj.trace(cell, params, xs[:, :-1], many)
    (weights,) = (value[:, 1:] for path, value in seen.items() if path.endswith("weights"))
    log_probs = np.take_along_axis(np.asarray(jax.nn.log_softmax(logits[:, 1:])), padded[..., None], axis=-1)[..., 0]
    wanted = np.array(
        [wu(log_probs[i, : len(t)].sum(), np.asarray(weights[i, : len(t)]), 0.6, beta) for i, t in enumerate(texts)]
    )
    order = np.argsort(-wanted)
    np.testing.assert_allclose(result.scores[0, : len(texts)], wanted[order], rtol=1e-9)
    best = [text[:n].tolist() for text, n in zip(result.tokens[0], result.lengths[0])][:20]
    assert best == [list(texts[i]) for i in order[:20]]


def test_penalty():
    """Slots that no beam of a row looks at are padding; one that another beam looks at costs much, but not infinity."""
    covered = jnp.array([[[0.5, 2.0, 0.0], [1.0, 0.25, 0.0]], [[1.0, 1.0, 0.0], [1.0, 1.0, 0.5]]])
    penalty = coverage_penalty(covered)
    np.testing.assert_allclose(penalty[0], np.log([0.5, 0.25]), rtol=1e-6)
    np.testing.assert_allclose(penalty[1, 1], np.log(0.5), rtol=1e-6)
    assert -np.inf < penalty[1, 0] < -80


def sizes(**shapes):
    seen = {path.replace("_", "/"): jax.ShapeDtypeStruct(shape, jnp.float32) for path, shape in shapes.items()}
    return Sizes(2, 4, 5, jnp.dtype(jnp.float32), seen)


def test_heads_are_averaged():
    weights = jnp.arange(24.0).reshape(2, 3, 2, 2)  # [B, K, N, S]
    covered = cover(uncovered(sizes(a_weights=weights.shape), "weights"), {"a/weights": weights}, "weights")
    np.testing.assert_allclose(covered, weights.mean(axis=2))


@pytest.mark.parametrize(
    "paths, name, message",
    [
        ({}, "weights", "no part of the cell has such a tap"),
        ({"my_reweights": (2, 3, 4)}, "weights", "no part of the cell has such a tap"),
        (
            {"0_weights": (2, 3, 4), "1_weights": (2, 3, 4)},
            "weights",
            "2 taps are called 'weights': 0/weights, 1/weights",
        ),
        ({"0_weights": (2, 3)}, "weights", r"the tap 'weights' has shape \(2, 3\)"),
    ],
)
def test_which_weights(paths, name, message):
    with pytest.raises(ArgumentError, match=message):
        uncovered(sizes(**paths), name)


def test_one_of_several_is_named():
    assert find(["0/weights", "1/weights", "10/weights"], "0/weights") == "0/weights"


@pytest.mark.slow
def test_two_attending_cells():
    """Which weights are meant must be said, and is heeded."""
    cell = sj.stack(sj.Embed(V, 4), AttendingLSTM(4), AttendingLSTM(4), sj.Dense(V))
    params, memory = cell.init(jax.random.key(0), 0), jax.random.normal(jax.random.key(1), (1, 3, 4))
    carry = cell.initial_carry(params, (1,), memory=memory)
    options = {"steps": 3, "carry": carry}
    with pytest.raises(ArgumentError, match="Say which: weights="):
        generate(cell, params, jnp.zeros(1, int), strategy=beam(2, coverage=1.0), **options)
    scores = [
        generate(cell, params, jnp.zeros(1, int), strategy=beam(2, coverage=1.0, weights=name), **options).scores
        for name in ("1/weights", "2/weights")
    ]
    assert not np.allclose(*scores)
