"""Every task against an obvious reading of its definition, its baseline against chance, and what holds for all."""

import functools
import itertools
import pickle
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import GRU, Dense, Embed, scan, stack, tasks
from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.tasks import chaos, groups

B = 2048

# ---- the definitions, read from the inputs of one sequence: {step: answer}, for all steps that count


def marked_sum(x):
    values = [v for v, mark in x.tolist() if mark == 1]
    assert len(values) == 2
    return {len(x) - 1: [sum(values)]}


def marked_1997(x, target):
    marks = x[:, 1].tolist()
    assert marks[0] == marks[-1] == -1 and set(marks[1:-1]) <= {0, 1}
    return {len(x) - 1: [target([v for v, mark in x.tolist() if mark == 1])]}


def copied(x):
    n, data = len(x), x[:10].tolist()
    assert x[10:].tolist() == [8] * (n - 21) + [9] + [8] * 10 and max(data) < 8
    return dict(enumerate([8] * (n - 10) + data))


def copied_selectively(x):
    head, markers = x[:-4].tolist(), x[-4:].tolist()
    data = [v for v in head if v < 3]
    assert markers == [4] * 4 and len(data) == 4 and set(head) <= {0, 1, 2, 3}
    return dict(enumerate(data, len(head)))


def exclusive_or(x):
    return {t: int(x[t - 3] != x[t - 6]) for t in range(6, len(x))}


def order(x):
    n = len(x)
    (i, j) = np.flatnonzero(x < 2)
    assert n // 10 <= i < 2 * (n // 10) and n // 2 <= j < n // 2 + n // 10
    return {n - 1: ["AA", "AB", "BA", "BB"].index("AB"[x[i]] + "AB"[x[j]])}


def order_1997(x):
    n = len(x)
    text = "".join("XYabcdEB"[i] for i in x)
    assert text[0] == "E" and text[-1] == "B" and not set(text[1:-1]) & set("EB")
    i, j = (t for t in range(n) if text[t] in "XY")
    assert n // 10 <= i <= 2 * n // 10 and 5 * n // 10 <= j <= 6 * n // 10
    return {n - 1: ["XX", "XY", "YX", "YY"].index(text[i] + text[j])}


def two_sequences(x):
    assert abs(x[:3, 0].sum()) == 3
    return {len(x) - 1: int(x[0, 0] > 0)}


def split(x, empty, answer):
    """A string before its empty tokens, and the answer at the steps after it."""
    size = len(x) - int((x == empty).sum())
    assert (x[size:] == empty).all()
    found = answer(x[:size].tolist())
    return {size + i: v for i, v in enumerate(found)}


def walk(s):
    place = 0
    for step in s:
        place = (place + {0: -1, 1: 0, 2: 1}[step]) % 5
    return [place]


def calculate(s):
    return [eval("".join("01234+-*()"[i] for i in s)) % 5]


def execute(s):
    start = next(i for i, token in enumerate(s) if token > 1)
    pile = s[:start]
    for instruction in s[start:]:
        if instruction == 2:
            pile = pile[:-1]
        else:
            pile = [*pile, instruction - 3]
    return [*pile[::-1], 2]


def add(s):
    plus = s.index(2)
    a, b = (int("".join(map(str, bits[::-1])), 2) for bits in (s[:plus], s[plus + 1 :]))
    assert a > 0 and b > 0
    return [*map(int, bin(a + b)[:1:-1]), 2] if a + b else [2]


def missing(s):
    half = len(s) // 2
    hidden = s.index(2)
    first, second = s[:half], s[half : 2 * half]
    assert s[2 * half :] == [3] * (len(s) % 2)
    assert all(a == b for i, (a, b) in enumerate(zip(first, second)) if i != hidden % half)
    return [second[hidden] if hidden < half else first[hidden - half]]


def recall(x, mask):
    context = dict(x[:6].reshape(3, 2).tolist())
    asked = np.flatnonzero(mask)
    assert len(context) == len(set(context.values())) == 3
    assert all(0 < k < 8 <= v < 16 for k, v in context.items())
    assert sorted(x[asked].tolist()) == sorted(context) and (asked >= 6).all() and (asked % 2 == 0).all()
    return {t: context[int(x[t])] for t in asked}


def induction(x):
    (first, last) = np.flatnonzero(x == 15)
    assert last == len(x) - 1
    return {last: int(x[first + 1])}


def permutation_products(x, degree, even):
    def sign(p):
        return sum(p[i] > p[j] for i in range(degree) for j in range(i, degree)) % 2

    elements = [p for p in sorted(itertools.permutations(range(degree))) if not (even and sign(p))]
    product, found = tuple(range(degree)), {}
    for t, i in enumerate(x):
        product = tuple(elements[i][k] for k in product)
        found[t] = elements.index(product)
    return found


TABLE = {
    "adding": (tasks.adding, 12, marked_sum),
    "adding_1997": (tasks.adding_1997, 26, lambda x: marked_1997(x, lambda v: 0.5 + sum(v) / 4)),
    "multiplication": (tasks.multiplication, 26, lambda x: marked_1997(x, np.prod)),
    "copy_memory": (tasks.copy_memory, 24, copied),
    "selective_copy": (tasks.SelectiveCopy(3, 4), 14, copied_selectively),
    "delayed_xor": (tasks.DelayedXor(3), 12, exclusive_or),
    "temporal_order": (tasks.temporal_order, 23, order),
    "temporal_order_1997": (tasks.temporal_order_1997, 23, order_1997),
    "two_sequence": (tasks.two_sequence, 8, two_sequences),
    "parity": (tasks.parity, 8, lambda x: split(x, 2, lambda s: [s.count(1) % 2])),
    "even_pairs": (tasks.even_pairs, 8, lambda x: split(x, 2, lambda s: [sum(map(int.__ne__, s, s[1:])) % 2])),
    "cycle_navigation": (tasks.cycle_navigation, 8, lambda x: split(x, 3, walk)),
    "modular_arithmetic": (tasks.modular_arithmetic, 25, lambda x: split(x, 10, calculate)),
    "stack_manipulation": (tasks.stack_manipulation, 20, lambda x: split(x, 5, execute)),
    "reverse": (tasks.reverse, 11, lambda x: split(x, 2, lambda s: s[::-1])),
    "duplicate": (tasks.Duplicate(3), 13, lambda x: split(x, 3, lambda s: s + s)),
    "missing_duplicate": (tasks.missing_duplicate, 10, lambda x: split(x, 4, missing)),
    "odds_first": (tasks.odds_first, 14, lambda x: split(x, 2, lambda s: s[0::2] + s[1::2])),
    "binary_addition": (tasks.binary_addition, 18, lambda x: split(x, 3, add)),
    "associative_recall": (tasks.AssociativeRecall(16, 3), 17, recall),
    "induction_heads": (tasks.induction_heads, 10, induction),
    "word_problem_a5": (tasks.word_problem_a5, 7, lambda x: permutation_products(x, 5, True)),
    "word_problem_s5": (tasks.word_problem_s5, 7, lambda x: permutation_products(x, 5, False)),
    "word_problem_z60": (tasks.word_problem_z60, 7, lambda x: dict(enumerate(np.cumsum(x) % 60))),
    "mackey_glass": (tasks.mackey_glass, 6, lambda x: {t: x[t + 1] for t in range(len(x) - 1)}),
    "lorenz": (tasks.lorenz, 6, lambda x: {t: x[t + 1] for t in range(len(x) - 1)}),
}
QUICK = {"adding", "parity", "modular_arithmetic", "associative_recall", "lorenz"}  # one of each make
EVERY = pytest.mark.parametrize("name", TABLE)


class EarlyMackeyGlass(tasks.MackeyGlass):
    """From its random state on, before chaos has enlarged what another order of rounding leaves."""

    burn_in, start_range = 0, 1


class EarlyLorenz(tasks.Lorenz):
    """Likewise."""

    burn_in, start_range = 0, 1


EARLY = {"mackey_glass": EarlyMackeyGlass(), "lorenz": EarlyLorenz()}


def size(name):
    return 256 if name == "mackey_glass" else B


@functools.cache
def draw(name, seed, varied):
    """A batch as NumPy arrays: of full length, or of every length that the task can have."""
    task, length, _ = TABLE[name]
    lengths = None
    if varied:
        lengths = np.resize(np.arange(task.min_length, length + 1), size(name))
    return jax.tree.map(np.asarray, task.sample(jax.random.key(seed), size(name), length, lengths))


def test_the_table_holds_every_task():
    assert set(TABLE) == set(tasks.ALL)
    assert all(tasks.ALL[name] is getattr(tasks, name) is tasks.find(name) for name in TABLE)


@EVERY
def test_targets_follow_from_the_inputs_at_every_length(name):
    task, length, answers = TABLE[name]
    batch = draw(name, 0, True)
    asked = np.resize(np.arange(task.min_length, length + 1), size(name))
    if name in ("reverse", "odds_first", "associative_recall"):
        wanted = asked // 2 * 2
    elif name in ("stack_manipulation", "binary_addition"):
        wanted = asked - 1 + asked % 2
    else:
        wanted = asked // 3 * 3 if name == "duplicate" else asked
    np.testing.assert_array_equal(batch.lengths, wanted)
    for x, y, mask, n in list(zip(*batch))[:150]:
        answer = answers(x[:n], mask) if name == "associative_recall" else answers(x[:n])
        if isinstance(task, chaos.Series):  # the last target lies beyond the inputs
            answer[n - 1] = y[n - 1]
        assert sorted(answer) == np.flatnonzero(mask).tolist()
        np.testing.assert_allclose(y[sorted(answer)], [answer[t] for t in sorted(answer)], rtol=1e-6)
        assert not y[~mask].any() and not x[n:].any()


@EVERY
def test_shapes_dtypes_and_ranges(name):
    task, length, _ = TABLE[name]
    inputs, targets, mask, lengths = draw(name, 0, False)
    b = size(name)
    shape = (b, length)
    if task.vocabulary:
        assert task.in_features == 0 and inputs.shape == shape and inputs.dtype == np.int32
        assert inputs.min() >= 0 and inputs.max() == task.vocabulary - 1
    else:
        assert inputs.shape == (*shape, task.in_features) and inputs.dtype == np.float32
    if isinstance(task, tasks.Regression):
        assert targets.shape == (*shape, task.out_features) and targets.dtype == np.float32
    else:
        assert targets.shape == shape and targets.dtype == np.int32
        assert targets.min() >= 0 and targets.max() == task.out_features - 1
    assert mask.shape == shape and mask.dtype == bool and mask.any(axis=1).all()
    assert lengths.shape == (b,) and lengths.dtype == np.int32


@EVERY
def test_same_key_same_batch_other_key_other_batch(name):
    task, length, _ = TABLE[name]
    again = task.sample(jax.random.key(0), size(name), length)
    for a, b in zip(draw(name, 0, False), again):
        np.testing.assert_array_equal(a, b)
    first, other = draw(name, 0, False).inputs, draw(name, 1, False).inputs
    changed = (first != other).reshape(len(first), -1).any(axis=1)
    assert changed.mean() > 0.9
    assert (first[0] != first[1]).any() or (first[0] != first[2]).any()  # the sequences of a batch differ


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TABLE]
)
def test_transformed_is_as_eager(name):
    """jit, vmap over keys and traced lengths, in 64-bit mode, against the plain call in 32-bit mode."""
    task, length, _ = TABLE[name]
    lengths = np.resize(np.arange(task.min_length, length + 1), size(name))
    batch = draw(name, 0, True)
    if name in EARLY:
        task = EARLY[name]
        batch = task.sample(jax.random.key(0), size(name), length, lengths)
    with jax.enable_x64(True):
        keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
        many = jax.jit(jax.vmap(lambda key, n: task.sample(key, size(name), length, n), (0, None)))(keys, lengths)
    for found, plain in zip(many, batch):
        assert found.dtype == plain.dtype
        if isinstance(task, tasks.Regression):
            np.testing.assert_allclose(found[0], plain, rtol=2e-5, atol=2e-5)
        else:
            np.testing.assert_array_equal(found[0], plain)
    assert (np.asarray(many.inputs[0]) != np.asarray(many.inputs[1])).any()


# ---- baselines


def blind(name):
    """The best answer that looks at no input, learnt from one batch, as outputs for another of the same shape."""
    task, length, _ = TABLE[name]
    batch = draw(name, 1, False)
    if isinstance(task, tasks.Regression):
        value = batch.targets[batch.weights].mean(axis=0)
        return np.broadcast_to(value, (size(name), length, task.out_features)).astype(np.float32)
    counts = np.zeros((length, task.out_features))
    for t in range(length):
        counts[t] = np.bincount(batch.targets[:, t][batch.weights[:, t]], minlength=task.out_features)
    best = np.eye(task.out_features, dtype=np.float32)[counts.argmax(axis=1)]
    return np.broadcast_to(best, (size(name), *best.shape))


@pytest.mark.parametrize("name", [name for name in TABLE if name != "copy_memory"])  # whose score is no mean of hits
def test_baseline_is_what_the_best_blind_answer_scores(name):
    """Within 4.5 standard errors, over sequences."""
    task, length, _ = TABLE[name]
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


def expressions(n, m):
    """Every expression of n tokens with its chance."""
    if n <= 4:
        form = {1: "{}", 2: "-{}", 3: "({})", 4: "(-{})"}[n]
        return {form.format(d): Fraction(1, m) for d in range(m)}
    found = {}
    for left in range(1, n - 3):
        for (a, p), (b, q) in itertools.product(expressions(left, m).items(), expressions(n - 3 - left, m).items()):
            for o in "+-*":
                found[f"({a}{o}{b})"] = p * q / 3 / (n - 4)
    return found


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
    assert all(np.isfinite(task.baseline(500)) for task in tasks.ALL.values())


# ---- distributions


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


# ---- groups and series


@pytest.mark.parametrize(
    "group, order, commutes", [("A5", 60, False), ("S4", 24, False), ("Z7", 7, True), ("A4xZ5", 60, False)]
)
def test_tables_are_groups(group, order, commutes):
    table = groups.table(group)
    assert table.shape == (order, order)
    np.testing.assert_array_equal(table[0], np.arange(order))
    np.testing.assert_array_equal(table[:, 0], np.arange(order))
    assert (np.sort(table, axis=1) == np.arange(order)).all()
    np.testing.assert_array_equal(table[table], table[:, table])  # (p q) r = p (q r)
    assert (table == table.T).all() == commutes


def test_lorenz_solves_its_equations():
    """Against Euler's method with steps 2000 times finer, in float64, over 10 steps."""
    found = np.asarray(tasks.lorenz.series(jax.random.key(0), 11), np.float64)
    x, y, z = found[0]
    h = 1e-5
    for _ in range(20000):
        x, y, z = x + h * 10 * (y - x), y + h * (x * (28 - z) - y), z + h * (x * y - 8 / 3 * z)
    np.testing.assert_allclose(found[-1], [x, y, z], rtol=2e-3, atol=2e-3)


def test_mackey_glass_solves_its_equation():
    """Against Euler's method with steps 50 times finer, in float64, over 40 units."""
    found = np.asarray(tasks.mackey_glass.series(jax.random.key(0), 40), np.float64)[:, 0]
    x0 = float(jax.random.uniform(jax.random.key(0), (), jnp.float32, 0.5, 1.5))
    h, lag = 0.002, 8500
    x = [x0] * (lag + 1)
    for _ in range(40 * 500):
        x.append(x[-1] + h * (0.2 * x[-1 - lag] / (1 + x[-1 - lag] ** 10) - 0.1 * x[-1]))
    np.testing.assert_allclose(found, x[lag:-1:500], rtol=1e-3)


@pytest.mark.parametrize("name, persistence", [("mackey_glass", 0.0213), ("lorenz", 0.0221)])
def test_series_have_mean_0_variance_1_and_the_stated_persistence(name, persistence):
    """Each variable over 512 sequences of 200 steps, and at each step: within 4.5 standard errors over sequences."""
    batch = tasks.find(name).sample(jax.random.key(3), 512, 200)
    x, y = np.asarray(batch.inputs, np.float64), np.asarray(batch.targets, np.float64)
    for each, wanted, precision in (
        (x.mean(axis=1), 0, 0.05),
        (np.square(x).mean(axis=1), 1, 0.05),
        (np.square(y - x).mean(axis=(1, 2)), persistence, 0.02 * persistence),
    ):
        error = each.std(axis=0) / np.sqrt(len(each))
        assert (error < precision).all()
        assert (np.abs(each.mean(axis=0) - wanted) < 4.5 * error).all()
    assert (np.abs(x.mean(axis=0)) < 4.5 * x.std(axis=0) / np.sqrt(len(x))).all()  # the phases differ


def test_series_ahead():
    """The same key and another horizon: the same inputs, targets so many steps on."""
    near, far = (EarlyLorenz(ahead=k).sample(jax.random.key(0), 2, 8) for k in (1, 3))
    np.testing.assert_allclose(far.inputs, near.inputs, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(far.targets[:, :-2], near.targets[:, 2:], rtol=2e-5, atol=2e-5)


# ---- loss and score


@pytest.mark.parametrize("name", ["adding", "stack_manipulation"])
def test_perfect_outputs_and_what_does_not_count(name):
    task, length, _ = TABLE[name]
    batch = jax.tree.map(lambda a: a[:16], draw(name, 0, True))
    perfect = batch.targets if isinstance(task, tasks.Regression) else 50 * np.eye(task.out_features)[batch.targets]
    perfect = np.asarray(perfect, np.float32)
    assert float(task.loss(perfect, batch)) < 1e-6
    assert float(task.score(perfect, batch)) == pytest.approx(1.0 if task.score_name == "accuracy" else 0.0, abs=1e-6)
    outputs = np.random.default_rng(0).normal(size=perfect.shape).astype(np.float32)
    value_and_grad = jax.jit(jax.value_and_grad(task.loss))
    value, gradient = value_and_grad(outputs, batch)
    for waste in (np.nan, np.inf, 3e38):
        dirty = np.where(batch.weights[..., None], outputs, np.float32(waste))
        for clean, found in zip((value, gradient), value_and_grad(dirty, batch)):
            np.testing.assert_array_equal(clean, found)
        np.testing.assert_array_equal(task.score(dirty, batch), task.score(outputs, batch))
    assert (np.abs(gradient).sum(axis=-1) > 0).tolist() == batch.weights.tolist()


@pytest.mark.slow
def test_a_gru_learns_even_pairs():
    """Synthetic inside `lax.scan`, with lengths 3 to 8: far better than any blind answer at length 12."""
    task = tasks.even_pairs
    model = stack(Embed(task.vocabulary, 8), GRU(12), Dense(task.out_features))
    optimiser = optax.adam(4e-2)

    def outputs(params, batch):
        return scan(model, params, batch.inputs, lengths=batch.lengths)[1]

    def step(state, key):
        params, moments = state
        batch = task.sample(key, 64, 8, jax.random.randint(key, (64,), 3, 9))
        loss, gradient = jax.value_and_grad(lambda p: task.loss(outputs(p, batch), batch))(params)
        updates, moments = optimiser.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), loss

    params = model.init(jax.random.key(0), task.in_features)
    state = (params, optimiser.init(params))
    (params, _), losses = jax.jit(lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(1), 120)))(state)
    batch = task.sample(jax.random.key(2), 500, 12)
    assert float(task.score(outputs(params, batch), batch)) > 0.9
    assert float(losses[-1]) < 0.3 < 0.6 < float(losses[0])


# ---- values and wrong calls


@EVERY
def test_a_task_is_its_configuration(name):
    task = TABLE[name][0]
    assert eval(repr(task), vars(tasks)) == task
    assert pickle.loads(pickle.dumps(task)) == task and hash(pickle.loads(pickle.dumps(task))) == hash(task)
    assert task.name == name
    assert task.higher_is_better == (task.score_name == "accuracy")


KEY = jax.random.key(0)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: tasks.adding.sample(KEY, 0, 10), ArgumentError, "batch_size must be at least 1"),
        (lambda: tasks.adding.sample(KEY, 2.0, 10), ArgumentTypeError, "batch_size must be a whole number"),
        (lambda: tasks.adding.sample(KEY, True, 10), ArgumentTypeError, "batch_size must be a whole number"),
        (lambda: tasks.adding.sample(KEY, 2, 1), ArgumentError, "length must be at least 2"),
        (lambda: tasks.copy_memory.sample(KEY, 2, 20), ArgumentError, "length must be at least 21"),
        (lambda: jax.jit(tasks.adding.sample)(KEY, 2, 10), ArgumentTypeError, "static"),
        (lambda: tasks.adding.sample(0, 2, 10), ArgumentTypeError, "jax.random.key"),
        (lambda: tasks.adding.sample(jax.random.split(KEY), 2, 10), ArgumentTypeError, "one key"),
        (lambda: tasks.adding.sample(KEY, 2, 10, [5, 11]), ArgumentError, r"2 \.\.\. 10 .*found 11"),
        (lambda: tasks.adding.sample(KEY, 2, 10, np.array([1, 5])), ArgumentError, "found 1"),
        (lambda: tasks.adding.sample(KEY, 2, 10, [5, 5, 5]), ArgumentError, r"\(3,\), expected"),
        (lambda: tasks.adding.sample(KEY, 2, 10, [5.0, 5.0]), ArgumentTypeError, "float64"),
        (lambda: tasks.adding.baseline(1), ArgumentError, "at least 2"),
        (lambda: tasks.parity.loss(jnp.zeros((2, 5, 3)), tasks.parity.sample(KEY, 2, 5)), ArgumentError, r"Dense\(2\)"),
        (
            lambda: tasks.parity.score(jnp.zeros((2, 5, 2), int), tasks.parity.sample(KEY, 2, 5)),
            ArgumentTypeError,
            "floating",
        ),
        (lambda: tasks.find("adding_97"), ArgumentError, "'adding_1997'"),
        (lambda: tasks.CopyMemory(symbols=1), ArgumentError, "symbols must be a whole number of at least 2"),
        (lambda: tasks.SelectiveCopy(memory=0), ArgumentError, "memory"),
        (lambda: tasks.DelayedXor(delay=1.5), ArgumentError, "delay"),
        (lambda: tasks.TwoSequence(noise=-1.0), ArgumentError, "variance"),
        (lambda: tasks.Reverse(symbols=1), ArgumentError, "symbols"),
        (lambda: tasks.CycleNavigation(places=1), ArgumentError, "places"),
        (lambda: tasks.ModularArithmetic(modulus=True), ArgumentError, "modulus"),
        (lambda: tasks.AssociativeRecall(16, 8), ArgumentError, "distinct keys"),
        (lambda: tasks.AssociativeRecall(power=float("nan")), ArgumentError, "power"),
        (lambda: tasks.InductionHeads(symbols=1), ArgumentError, "symbols"),
        (lambda: tasks.WordProblem("B5"), ArgumentError, "A4xZ5"),
        (lambda: tasks.WordProblem("S7"), ArgumentError, "720"),
        (lambda: tasks.MackeyGlass(ahead=0), ArgumentError, "ahead"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_traced_lengths_are_clipped_to_what_the_task_can_have():
    found = jax.jit(lambda n: tasks.adding.sample(KEY, 3, 10, n).lengths)(jnp.array([-4, 5, 99], jnp.int8))
    np.testing.assert_array_equal(found, [2, 5, 10])


@pytest.mark.parametrize("name", ["delayed_xor", "adding_1997"])
def test_loss_and_score_are_means_over_the_steps_that_count(name):
    task, length, _ = TABLE[name]
    batch = jax.tree.map(lambda a: a[:8], draw(name, 0, True))
    outputs = np.random.default_rng(1).normal(size=(8, length, task.out_features)).astype(np.float32)
    mask, targets = batch.weights, batch.targets
    if name == "adding_1997":
        loss = score = np.mean((outputs[mask] - targets[mask]) ** 2)
    else:
        p = np.exp(outputs[mask].astype(np.float64))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(p)), targets[mask]]).mean()
        score = (outputs[mask].argmax(axis=1) == targets[mask]).mean()
    np.testing.assert_allclose(task.loss(outputs, batch), loss, rtol=1e-5)
    np.testing.assert_allclose(task.score(outputs, batch), score, rtol=1e-5)
