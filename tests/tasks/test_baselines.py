"""Baselines: against the best answer that looks at nothing, against enumeration, and as published."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from seqjax import tasks
from tests.tasks.cases import B, case, draw, execute, size
from tests.tasks.expressions import expressions


def blind(name):
    """The best answer that looks at no input, learnt from one batch, as outputs for another of the same shape."""
    task, length = case(name).task, case(name).length
    batch = draw(name, 1, False)
    if isinstance(task, tasks.Regression):
        value = batch.targets[batch.weights].mean(axis=0)
        return np.broadcast_to(value, (size(name), length, task.out_features)).astype(np.float32)
    counts = np.zeros((length, task.out_features))
    for t in range(length):
        counts[t] = np.bincount(batch.targets[:, t][batch.weights[:, t]], minlength=task.out_features)
    best = np.eye(task.out_features, dtype=np.float32)[counts.argmax(axis=1)]
    return np.broadcast_to(best, (size(name), *best.shape))


@pytest.mark.parametrize(
    "name", [name for name, task in tasks.ALL.items() if task.score_name != "nats"]
)  # no mean of hits
def test_baseline_is_what_the_best_blind_answer_scores(name):
    """Within 4.5 standard errors, over sequences."""
    task, length = case(name).task, case(name).length
    batch = draw(name, 0, False)
    outputs = blind(name)
    if isinstance(task, tasks.Regression):
        each = np.where(batch.weights, np.square(outputs - batch.targets).mean(axis=-1), 0).sum(axis=1)
    else:
        each = ((outputs.argmax(axis=-1) == batch.targets) & batch.weights).sum(axis=1)
    counted = batch.weights.sum(axis=1)
    score = each.sum() / counted.sum()
    error = np.sqrt(np.mean((each - score * counted) ** 2) / size(name)) / counted.mean()
    assert error < 0.15 * score
    assert abs(score - task.baseline(length)) < 4.5 * error


def test_baseline_of_copy_memory_is_the_loss_of_certain_blanks_and_uniform_symbols():
    task, length = tasks.copy_memory, 24
    batch = draw("copy_memory", 0, False)
    logits = np.full((B, length, 9), -np.inf, np.float32)
    logits[:, :-10, 8] = 0
    logits[:, -10:, :8] = 0
    np.testing.assert_allclose(task.loss(logits, batch), task.baseline(length), rtol=1e-6)
    np.testing.assert_allclose(task.baseline(1020), 10 * np.log(8) / (1000 + 20), rtol=1e-12)


def best_blind(answers):
    """Accuracy of the best answer for each place, from every answer with its chance."""
    assert sum(answers.values()) == 1
    longest = max(map(len, answers))
    hits = 0
    for p in range(longest):
        chances = {}
        for answer, chance in answers.items():
            if p < len(answer):
                chances[answer[p]] = chances.get(answer[p], 0) + chance
        hits += max(chances.values())
    return hits / sum(len(answer) * chance for answer, chance in answers.items())


def tally(pairs):
    found = {}
    for answer, chance in pairs:
        found[tuple(answer)] = found.get(tuple(answer), 0) + chance
    return found


def stack_strings(n):
    for start in range(1, n):
        for s in itertools.product(*[(0, 1)] * start, *[(2, 3, 4)] * (n - start)):
            yield execute(list(s)), Fraction(1, (n - 1) * 2**start * 3 ** (n - start))


def sums(n):
    for i in range(1, n - 1):
        a_most, b_most = 2**i - 1, 2 ** (n - 1 - i) - 1
        for a, b in itertools.product(range(1, a_most + 1), range(1, b_most + 1)):
            yield [*map(int, bin(a + b)[:1:-1]), 2], Fraction(1, (n - 2) * a_most * b_most)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_baseline_of_stack_manipulation_by_enumeration(n):
    wanted = best_blind(tally(stack_strings(n)))
    np.testing.assert_allclose(tasks.stack_manipulation.baseline(2 * n + 1), float(wanted), rtol=1e-12)


@pytest.mark.parametrize("n", [3, 4, 6, 9])
def test_baseline_of_binary_addition_by_enumeration(n):
    wanted = best_blind(tally(sums(n)))
    np.testing.assert_allclose(tasks.binary_addition.baseline(2 * n + 1), float(wanted), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 4, 5, 6, 9])
def test_baseline_of_modular_arithmetic_by_enumeration(n):
    wanted = best_blind(tally(((eval(text) % 3,), chance) for text, chance in expressions(n, 3).items()))
    np.testing.assert_allclose(tasks.ModularArithmetic(3).baseline(n + 1), float(wanted), rtol=1e-12)


@pytest.mark.parametrize("n, places", [(1, 5), (3, 5), (4, 2), (5, 4)])
def test_baseline_of_cycle_navigation_by_enumeration(n, places):
    walks = (((sum(s) % places,), Fraction(1, 3**n)) for s in itertools.product((-1, 0, 1), repeat=n))
    wanted = best_blind(tally(walks))
    np.testing.assert_allclose(tasks.CycleNavigation(places).baseline(n + 1), float(wanted), rtol=1e-12)


@pytest.mark.parametrize("n", [20, 45, 100])
def test_baselines_of_1997_over_every_choice(n):
    """All choices of two pairs with their chance; a fixed value has variance 0, a drawn one those of the uniform."""
    total = [Fraction(0)] * 3  # of the sum's variance; of the product's mean; of its mean square
    for one in range(10):
        left = [t for t in range(n) if t != one][: n // 2 - 1]
        for two in left:
            chance = Fraction(1, 10 * len(left))
            drawn = (one > 0) + (two > 0)
            total[0] += chance * drawn * Fraction(4, 12)
            total[1] += chance * Fraction(1, 2) ** drawn
            total[2] += chance * Fraction(1, 3) ** drawn
    assert tasks.adding_1997.baseline(n) == pytest.approx(float(total[0] / 16), rel=1e-12)
    assert tasks.multiplication.baseline(n) == pytest.approx(float(total[2] - total[1] ** 2), rel=1e-12)


def test_published_chances():
    assert tasks.adding.baseline(600) == 1 / 6
    assert tasks.cycle_navigation.baseline(400) == pytest.approx(1 / 5)
    for name in ("parity", "even_pairs", "reverse", "duplicate", "missing_duplicate", "odds_first"):
        assert tasks.find(name).baseline(40) == 1 / 2
