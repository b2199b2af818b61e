"""Modular arithmetic with brackets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqjax._internal.types import Array, Int, Key
from seqjax._internal.validation import check_counts
from seqjax.tasks.base import Example
from seqjax.tasks.strings import StringTask

_OPERATOR, _CLOSE = -1, -2  # what is still to be written; a whole number above 0 is an expression of so many tokens

Frames = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]


class ModularArithmetic(StringTask):
    """Modular arithmetic with brackets (Deletang et al. 2023, the grammar of the code published with it).  n = L + 1.

    An expression of exactly L tokens and its value mod m:

        E_1 = d,  E_2 = -d,  E_3 = (d),  E_4 = (-d),  E_L = (E_l o E_r),  l + r = L - 3

    with d uniform in 0 ... m - 1, o uniform in +, -, *, and l uniform in 1 ... L - 4. Ids: digits 0 ... m - 1, then
    + - * ( ) and the empty token, m ... m + 5. Class: the value.

    Baseline: the most likely value, from the distribution P_L over values by the grammar's recursion: P_1 ... P_4 are
    uniform, and P_L is that of a o b with o uniform and (a, b) from P_l P_r, l uniform. Products make 0 likelier than
    1 / m.

    Example: the tokens write (-1 * -1), which is 1.

    >>> from seqjax import tasks
    >>> print(tasks.modular_arithmetic.as_text(8, seed=3))
    input   8 6 1 7 6 1 9 10
    target  . . . . . . .  1

    Args:
        modulus: m; 5 in the paper.
    """

    name = "modular_arithmetic"

    modulus: int = 5

    def __post_init__(self) -> None:
        check_counts(self, modulus=2)

    @property
    def vocabulary(self) -> int:
        return self.modulus + 6

    @property
    def out_features(self) -> int:
        return self.modulus

    def string(self, key: Key[Array, ""], size: Int[Array, ""], length: int) -> Example:
        tokens = _write(key, size, length, self.modulus)
        value = _evaluate(jnp.where(jnp.arange(length) < size, tokens, self.modulus + 5), self.modulus)
        return tokens, jnp.broadcast_to(value, (length,)), jnp.arange(length) == 0

    def string_baseline(self, size: int) -> float:
        return _distributions(size, self.modulus)[size].max()


def _write(key: Key[Array, ""], size: Int[Array, ""], length: int, modulus: int) -> Int[Array, " T"]:
    """Tokens `[T]`: a stack holds what is still to be written, and each step writes one token."""
    keys = jax.random.split(key, 3)
    digits = jax.random.randint(keys[0], (length,), 0, modulus, jnp.int32)
    operators = jax.random.randint(keys[1], (length,), 0, 3, jnp.int32)
    splits = jax.random.uniform(keys[2], (length,), jnp.float32)

    def step(
        carry: tuple[jax.Array, jax.Array], draws: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[tuple, jax.Array]:
        stack, top = carry
        digit, operator, u = draws
        item = stack[top - 1]
        token = jnp.select(
            [item == _OPERATOR, item == _CLOSE, item == 1, item == 2],
            [modulus + operator, modulus + 4, digit, modulus + 1],
            modulus + 3,
        )
        left = 1 + jnp.minimum((u * (item - 4)).astype(jnp.int32), item - 5)
        one, binary = (item == 2) | (item == 3), item >= 5
        # Topmost last: what follows the token that was just written.
        rest = jnp.select(
            [item == 2, (item == 3) | (item == 4), binary],
            [
                jnp.array([1, 0, 0, 0], jnp.int32),
                jnp.stack([jnp.int32(_CLOSE), jnp.where(one, 1, 2), jnp.int32(0), jnp.int32(0)]),
                jnp.stack([jnp.int32(_CLOSE), item - 3 - left, jnp.int32(_OPERATOR), left]),
            ],
            jnp.zeros(4, jnp.int32),
        )
        more = jnp.select([item == 2, (item == 3) | (item == 4), binary], [1, 2, 4], 0)
        stack = lax.dynamic_update_slice(stack, rest, (top - 1,))
        return (stack, jnp.maximum(top - 1 + more, 0)), token

    # What is left on the stack is at least one token each, so that it never holds more than `length` items.
    stack = jnp.zeros(length + 4, jnp.int32).at[0].set(size)
    return lax.scan(step, (stack, jnp.int32(1)), (digits, operators, splits))[1]


def _evaluate(tokens: Int[jax.Array, " T"], modulus: int) -> Int[jax.Array, ""]:
    """The value of an expression; empty tokens after it change nothing.

    Every open bracket is a frame (value so far, operator waiting). A frame begins as 0 +, and a minus that follows a
    bracket, an operator or nothing belongs to the digit after it.
    """

    def apply(operator: Int[jax.Array, ""], a: Int[jax.Array, ""], b: Int[jax.Array, ""]) -> Int[jax.Array, ""]:
        return jnp.select([operator == 0, operator == 1], [a + b, a - b], a * b) % modulus

    def step(carry: Frames, token: Int[jax.Array, ""]) -> tuple[Frames, None]:
        values, waiting, depth, fresh, minus = carry
        digit, operator = token < modulus, (token >= modulus) & (token < modulus + 3)
        opens, closes = token == modulus + 3, token == modulus + 4
        sign = operator & fresh
        inner = values[depth]
        target = jnp.where(closes, depth - 1, depth)
        operand = jnp.where(closes, inner, jnp.where(minus, -token, token))
        result = apply(waiting[target], values[target], operand)
        values = values.at[target].set(jnp.where(digit | closes, result, values[target]))
        waiting = waiting.at[depth].set(jnp.where(operator & ~sign, token - modulus, waiting[depth]))
        depth = jnp.where(opens, depth + 1, target)
        values = values.at[depth].set(jnp.where(opens, 0, values[depth]))
        waiting = waiting.at[depth].set(jnp.where(opens, 0, waiting[depth]))
        fresh = jnp.where(digit | closes, False, fresh | operator | opens)
        minus = jnp.where(digit, False, minus | sign)
        return (values, waiting, depth, fresh, minus), None

    frames = jnp.zeros(tokens.shape[0] // 2 + 2, jnp.int32)
    begin = (frames, frames, jnp.int32(0), jnp.bool_(True), jnp.bool_(False))
    return lax.scan(step, begin, tokens)[0][0][0]


@functools.lru_cache(maxsize=32)
def _distributions(size: int, modulus: int) -> np.ndarray:
    """P_L over values for L = 0 ... size, `[size + 1, m]` (row 0 plays no part)."""
    chances = np.full((size + 1, modulus), 1 / modulus)
    a, b = np.ogrid[:modulus, :modulus]
    for n in range(5, size + 1):
        lefts = chances[1 : n - 3]
        pairs = lefts.T @ lefts[::-1] / (n - 4)
        chances[n] = (
            sum(np.bincount((value % modulus).ravel(), pairs.ravel(), modulus) for value in (a + b, a - b, a * b)) / 3
        )
    return chances
