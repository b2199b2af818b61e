"""What is drawn at random has the chances that the definitions say."""

import itertools

import jax
import numpy as np
import pytest

from seqjax import tasks
from tests.tasks.cases import B, draw
from tests.tasks.expressions import expressions


def assert_frequencies(found, chances):
    """Counts of independent draws, each within 4.5 standard errors of its chance."""
    total = found.sum()
    assert (np.abs(found - total * chances) < 4.5 * np.sqrt(total * chances * (1 - chances)) + 1e-9).all()


def test_adding_marks_one_step_of_each_half_uniformly():
    marks = draw("adding", 0, False).inputs[..., 1]
    for half in (marks[:, :6], marks[:, 6:]):
        assert (half.sum(axis=1) == 1).all()
        assert_frequencies(half.sum(axis=0), np.full(6, 1 / 6))


@pytest.mark.parametrize("name, first", [("adding_1997", 0), ("multiplication", 1)])
def test_1997_marks_are_chosen_as_published(name, first):
    """Of 26 pairs: one of the first ten, then one of the first 12 left, so that both are among the first 13."""
    values, marks = np.moveaxis(draw(name, 0, False).inputs, -1, 0)
    unmarked_first = values[:, 0] == first
    assert ((marks == 1).sum(axis=1) == 2 - unmarked_first).all()
    chance = np.zeros(13)
    for one in range(10):
        left = [t for t in range(26) if t != one][:12]
        chance[one] += 1 / 10
        chance[left] += 1 / 10 / 12
    found = (marks == 1).sum(axis=0)[:13]
    found[0] = unmarked_first.sum()
    assert found.sum() == 2 * B
    assert (np.abs(found - B * chance) < 4.5 * np.sqrt(B * chance)).all()


@pytest.mark.parametrize("name", ["temporal_order", "temporal_order_1997"])
def test_order_places_and_classes_are_uniform(name):
    batch = draw(name, 0, False)
    assert_frequencies(np.bincount(batch.targets[batch.weights], minlength=4), np.full(4, 1 / 4))
    steps = np.argsort(batch.inputs >= 2, axis=1, kind="stable")[:, :2]  # the two symbols
    for place in range(2):
        kinds, found = np.unique(steps[:, place], return_counts=True)
        ends = {"temporal_order": [(2, 3), (11, 12)], "temporal_order_1997": [(2, 4), (11, 13)]}[name][place]
        assert kinds.tolist() == list(range(ends[0], ends[1] + 1))
        assert_frequencies(found, np.full(len(kinds), 1 / len(kinds)))


def test_selective_copy_places_are_uniform():
    found = (draw("selective_copy", 0, False).inputs[:, :10] < 3).sum(axis=0)
    assert (np.abs(found - B * 0.4) < 4.5 * np.sqrt(B * 0.4 * 0.6)).all()


def test_two_sequence_noise():
    noisy = tasks.TwoSequence(2, noise=0.3, distraction=0.5)
    batch = noisy.sample(jax.random.key(0), B, 6)
    sign = 2 * np.asarray(batch.targets)[:, -1:] - 1
    inputs = np.asarray(batch.inputs)[..., 0]
    for part, variance in ((inputs[:, :2] - sign, 0.3), (inputs[:, 2:], 0.5)):
        assert abs(part.mean()) < 4.5 * np.sqrt(variance / part.size)
        assert abs(part.var() - variance) < 4.5 * variance * np.sqrt(2 / part.size)
    assert abs(sign.mean()) < 4.5 / np.sqrt(B)


def test_recall_gaps_follow_the_power_law():
    """All draws without replacement of 3 of 5 gaps, enumerated; and keys and values are uniform."""
    batch = draw("associative_recall", 0, False)
    weights = np.arange(1.0, 6.0) ** (0.01 - 1)
    chance = np.zeros((3, 5))
    for drawn in itertools.permutations(range(5), 3):
        p, left = 1.0, weights.sum()
        for gap in drawn:
            p *= weights[gap] / left
            left -= weights[gap]
        for i, gap in enumerate(drawn):
            chance[i, gap] += p
    found = np.zeros((3, 5))
    for x, mask in zip(batch.inputs, batch.weights):
        keys = x[0:6:2].tolist()
        for t in np.flatnonzero(mask):
            found[keys.index(x[t]), (t - 6) // 2] += 1
    assert (np.abs(found - B * chance) < 4.5 * np.sqrt(B * chance)).all()
    for i in range(3):
        assert_frequencies(np.bincount(batch.inputs[:, 2 * i], minlength=8)[1:], np.full(7, 1 / 7))
        assert_frequencies(np.bincount(batch.inputs[:, 2 * i + 1], minlength=16)[8:], np.full(8, 1 / 8))


def test_expressions_have_the_chances_of_the_grammar():
    """Texts of 7 tokens, of which there are few shapes, by their operators, brackets and signs."""
    wanted = {}
    for text, chance in expressions(7, 5).items():
        shape = "".join("d" if c.isdigit() else c for c in text)
        wanted[shape] = wanted.get(shape, 0) + float(chance)
    inputs = np.asarray(tasks.modular_arithmetic.sample(jax.random.key(5), B, 25, np.full(B, 8)).inputs)[:, :7]
    shapes = ["".join("d" if c < 5 else "+-*()"[c - 5] for c in row) for row in inputs]
    assert set(shapes) <= set(wanted)
    assert_frequencies(np.array([shapes.count(s) for s in wanted]), np.array(list(wanted.values())))


def test_numbers_to_add_are_uniform():
    """In 'a + b' of 4 tokens, a has 1 or 2 bits; a of 2 bits is 1, 2 or 3 alike."""
    inputs = np.asarray(tasks.binary_addition.sample(jax.random.key(6), B, 18, np.full(B, 9)).inputs)[:, :4]
    found = {}
    for row in inputs.tolist():
        found[tuple(row)] = found.get(tuple(row), 0) + 1
    short, long = [(1, 2, *b) for b in ((1, 0), (0, 1), (1, 1))], [(*a, 2, 1) for a in ((1, 0), (0, 1), (1, 1))]
    assert_frequencies(np.array([found.pop(text) for text in short + long]), np.full(6, 1 / 6))
    assert not found
