"""The grammar of the modular arithmetic task, enumerated."""

import itertools
from fractions import Fraction


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
