"""Word problems: the running product of elements of a finite group."""

import functools
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Int, Key
from seqjax.errors import ArgumentError
from seqjax.tasks.base import Example
from seqjax.tasks.scoring import Classification

_LARGEST = 720  # order of the largest group whose table is made, S6


class WordProblem(Classification):
    """The word problem of a finite group (Merrill, Petty, Sabharwal 2024): at each step the product so far.

    Inputs are independent uniform elements g_t; the target at step t is g_1 g_2 ... g_t, and every step counts.
    A product p q of permutations is first p, then q: (p q)(i) = q(p(i)). Elements are numbered from the identity, 0:
    permutations of 0, 1, ... (for A the even ones) in lexicographic order, Z by the numbers added, a product of groups
    by pairs in lexicographic order. The score is the share of right steps; the paper counts whole sequences.

    Baseline: every product is uniform, accuracy 1 / |G|. (The first product is the first input, so that an answer
    that knows the current input alone can reach (1 + (n - 1) / |G|) / n.)

    Example: the running sum modulo 5, as this group's product is addition.

    >>> from seqjax import tasks
    >>> print(tasks.WordProblem("Z5").as_text(6))
    input   1 1 2 2 1 4
    target  1 2 4 1 2 1

    Args:
        group: S5, A5, Z60 and the like, or a product, A4xZ5; of at most 720 elements.
    """

    group: str

    def __post_init__(self) -> None:
        _factors(self.group)

    @property
    def name(self) -> str:
        return f"word_problem_{self.group.lower()}"

    @property
    def vocabulary(self) -> int:
        return len(table(self.group))

    @property
    def out_features(self) -> int:
        return self.vocabulary

    def example(self, key: Key[Array, ""], n: Int[Array, ""], length: int) -> Example:
        products = jnp.asarray(table(self.group))
        inputs = jax.random.randint(key, (length,), 0, len(products), jnp.int32)
        targets = lax.associative_scan(lambda g, h: products[g, h], inputs)
        return inputs, targets, jnp.ones(length, bool)

    def baseline_for(self, n: int) -> float:
        return 1 / self.vocabulary


@functools.cache
def table(group: str) -> np.ndarray:
    """The multiplication table of a group by name: int32 `[|G|, |G|]`, entry [p, q] the number of p q.

    Raises:
        ArgumentError: there is no such group, or it has more than 720 elements.
    """
    whole = np.zeros((1, 1), np.int32)
    for kind, degree in _factors(group):
        part = _cyclic(degree) if kind == "Z" else _permutations(degree, even=kind == "A")
        size = len(whole) * len(part)
        whole = (whole[:, None, :, None] * len(part) + part[None, :, None, :]).reshape(size, size)
    return whole


def _factors(group: str) -> list[tuple[str, int]]:
    """The name taken apart: A4xZ5 is [("A", 4), ("Z", 5)]."""
    found = [re.fullmatch(r"([SAZ])([1-9]\d{0,2})", part) for part in str(group).split("x")]
    factors = [(match[1], int(match[2])) for match in found if match]
    if len(factors) < len(found):
        raise ArgumentError(f"WordProblem: group must be named as S5, A5, Z60 or A4xZ5, found {group!r}")
    orders = (degree if kind == "Z" else math.factorial(degree) // (1 + (kind == "A")) for kind, degree in factors)
    if math.prod(max(order, 1) for order in orders) > _LARGEST:
        raise ArgumentError(f"WordProblem: group {group!r} has more than {_LARGEST} elements")
    return factors


def _cyclic(order: int) -> np.ndarray:
    numbers = np.arange(order, dtype=np.int32)
    return (numbers[:, None] + numbers) % order


def _permutations(degree: int, even: bool) -> np.ndarray:
    everything = np.array(list(itertools.permutations(range(degree))), np.int32)
    if even:
        first, second = np.triu_indices(degree, 1)
        inversions = (everything[:, first] > everything[:, second]).sum(axis=1)
        everything = everything[inversions % 2 == 0]
    number = {tuple(p): i for i, p in enumerate(everything.tolist())}
    return np.array([[number[tuple(q[p].tolist())] for q in everything] for p in everything], np.int32)
