"""What the tests of tasks read: each definition in plain Python, and small settings to test them in.

`case(name)` has a ready task of `tasks.ALL`, also one that stands in no table here: then the general laws are tested
for it, at seven steps, and what its targets must be is left to its own file.
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from seqjax import tasks

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


def calculate_simple(s):
    assert all(token < 5 for token in s[::2]) and all(5 <= token < 8 for token in s[1::2])
    return [eval("".join("01234+-*"[i] for i in s)) % 5]


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
    found = second[hidden] if hidden < half else first[hidden - half]
    assert found == s.count(1) % 2
    return [found]


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


@dataclass(frozen=True)
class Case:
    """A setting of a task, a length to test it at, the reading of its definition, and which length n steps are cut to."""

    task: tasks.Task
    length: int
    answers: Callable[..., dict[int, Any]] | None = None
    rounded: Callable[[np.ndarray], np.ndarray] = lambda n: n


def even(n):
    return n // 2 * 2


def odd(n):
    return n - 1 + n % 2


def thirds(n):
    return n // 3 * 3


READ = {
    "adding": Case(tasks.adding, 12, marked_sum),
    "adding_1997": Case(tasks.adding_1997, 26, lambda x: marked_1997(x, lambda v: 0.5 + sum(v) / 4)),
    "multiplication": Case(tasks.multiplication, 26, lambda x: marked_1997(x, np.prod)),
    "copy_memory": Case(tasks.copy_memory, 24, copied),
    "selective_copy": Case(tasks.SelectiveCopy(3, 4), 14, copied_selectively),
    "delayed_xor": Case(tasks.DelayedXor(3), 12, exclusive_or),
    "temporal_order": Case(tasks.temporal_order, 23, order),
    "temporal_order_1997": Case(tasks.temporal_order_1997, 23, order_1997),
    "two_sequence": Case(tasks.two_sequence, 8, two_sequences),
    "parity": Case(tasks.parity, 8, lambda x: split(x, 2, lambda s: [s.count(1) % 2])),
    "even_pairs": Case(tasks.even_pairs, 8, lambda x: split(x, 2, lambda s: [sum(map(int.__ne__, s, s[1:])) % 2])),
    "cycle_navigation": Case(tasks.cycle_navigation, 8, lambda x: split(x, 3, walk)),
    "modular_arithmetic": Case(tasks.modular_arithmetic, 25, lambda x: split(x, 10, calculate)),
    "modular_arithmetic_simple": Case(
        tasks.modular_arithmetic_simple, 11, lambda x: split(x, 8, calculate_simple), even
    ),
    "stack_manipulation": Case(tasks.stack_manipulation, 20, lambda x: split(x, 5, execute), odd),
    "reverse": Case(tasks.reverse, 11, lambda x: split(x, 2, lambda s: s[::-1]), even),
    "duplicate": Case(tasks.Duplicate(3), 13, lambda x: split(x, 3, lambda s: s + s), thirds),
    "missing_duplicate": Case(tasks.missing_duplicate, 10, lambda x: split(x, 4, missing)),
    "odds_first": Case(tasks.odds_first, 14, lambda x: split(x, 2, lambda s: s[0::2] + s[1::2]), even),
    "bucket_sort": Case(tasks.BucketSort(4), 13, lambda x: split(x, 4, sorted), even),
    "binary_addition": Case(tasks.binary_addition, 18, lambda x: split(x, 3, add), odd),
    "associative_recall": Case(tasks.AssociativeRecall(16, 3), 17, recall, even),
    "induction_heads": Case(tasks.induction_heads, 10, induction),
    "word_problem_a5": Case(tasks.word_problem_a5, 7, lambda x: permutation_products(x, 5, True)),
    "word_problem_s5": Case(tasks.word_problem_s5, 7, lambda x: permutation_products(x, 5, False)),
    "word_problem_z60": Case(tasks.word_problem_z60, 7, lambda x: dict(enumerate(np.cumsum(x) % 60))),
    "mackey_glass": Case(tasks.mackey_glass, 6, lambda x: {t: x[t + 1] for t in range(len(x) - 1)}),
    "lorenz": Case(tasks.lorenz, 6, lambda x: {t: x[t + 1] for t in range(len(x) - 1)}),
}


def case(name):
    return READ[name]


def size(name):
    """Sequences in a batch; of the slow one fewer."""
    return 256 if name == "mackey_glass" else B


@functools.cache
def draw(name, seed, varied):
    """A batch as NumPy arrays: of full length, or of every length that the task can have."""
    task, length = case(name).task, case(name).length
    lengths = np.resize(np.arange(task.min_length, length + 1), size(name)) if varied else None
    return jax.tree.map(np.asarray, task.sample(jax.random.key(seed), size(name), length, lengths))
