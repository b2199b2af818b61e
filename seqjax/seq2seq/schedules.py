"""Chances of own tokens over a training, as functions of the step (Bengio et al. 2015).

The paper states epsilon, the chance of a *given* token; these give p = 1 - epsilon.
"""

import math
from collections.abc import Callable

from seqjax._internal.validation import real_number
from seqjax.errors import ArgumentError

Schedule = Callable[[int], float]


def linear(steps: float, most: float = 1.0) -> Schedule:
    """p(i) = min(most, i / steps): from 0 in a straight line.

    >>> from seqjax.seq2seq import linear
    >>> [linear(1000, most=0.75)(i) for i in (0, 500, 2000)]
    [0.0, 0.5, 0.75]

    Raises:
        ArgumentError, ArgumentTypeError: steps that are not above 0, or a chance outside [0, 1].
    """
    steps, most = _positive("linear: steps", steps), real_number("linear: most", most)
    if not 0 <= most <= 1:
        raise ArgumentError(f"linear: most must be in [0, 1], found {most}")
    return lambda i: min(most, i / steps)


def exponential(keep: float) -> Schedule:
    """p(i) = 1 - keep^i, for keep in (0, 1).

    >>> from seqjax.seq2seq import exponential
    >>> [exponential(0.5)(i) for i in (0, 1, 2)]
    [0.0, 0.5, 0.75]

    Raises:
        ArgumentError, ArgumentTypeError: keep is not in (0, 1).
    """
    keep = real_number("exponential: keep", keep)
    if not 0 < keep < 1:
        raise ArgumentError(f"exponential: keep must be in (0, 1), found {keep}. A number of steps? 1 - 1 / steps")
    return lambda i: 1 - keep**i


def inverse_sigmoid(steps: float) -> Schedule:
    """p(i) = 1 - k / (k + exp(i / k)), k = steps: it begins at 1 / (k + 1), and is 1/2 at k ln k.

    >>> from seqjax.seq2seq import inverse_sigmoid
    >>> [round(inverse_sigmoid(100)(i), 2) for i in (0, 460, 1000)]
    [0.01, 0.5, 1.0]

    Raises:
        ArgumentError, ArgumentTypeError: steps that are not above 0.
    """
    k = _positive("inverse_sigmoid: steps", steps)
    return lambda i: 1 / (1 + k * math.exp(-i / k))


def _positive(name: str, value: object) -> float:
    number = real_number(name, value)
    if not 0 < number < math.inf:
        raise ArgumentError(f"{name} must be above 0, found {number}")
    return number
