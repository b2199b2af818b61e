"""Random order as a function of numbers: what a seed and an epoch give, they give for ever."""

import numpy as np

from seqjax._internal.validation import whole_number

EXAMPLES, BATCHES, POSITIONS = range(3)  # uses of random numbers that must not meet


def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The shuffled numbers 0 ... n - 1 of an epoch, int64 `[n]`.

    A function of its arguments alone: the order that sorts the first n words of Philox4x64-10 (Salmon et al. 2011)
    with the key (seed, epoch). NumPy promises that these words stay as they are from version to version, which it
    does not of `Generator.permutation`.

    >>> permutation(seed=0, epoch=0, n=6).tolist(), permutation(seed=0, epoch=1, n=6).tolist()
    ([0, 2, 1, 5, 4, 3], [5, 3, 2, 4, 1, 0])

    Raises:
        ArgumentError, ArgumentTypeError: an argument is no whole number in [0, 2**63).
    """
    return shuffle(seed, epoch, n, EXAMPLES)


def shuffle(seed: int, epoch: int, n: int, use: int) -> np.ndarray:
    """`permutation` for each of the uses, which share no random numbers."""
    return np.argsort(_words(seed, epoch, n, use), kind="stable")


def draw_below(limit: int, seed: int, step: int, n: int) -> np.ndarray:
    """n numbers drawn from 0 ... limit - 1, int64 `[n]`; the bias of the remainder is under limit / 2**64."""
    return (_words(seed, step, n, POSITIONS) % np.uint64(limit)).astype(np.int64)


def _words(seed: int, number: int, n: int, use: int) -> np.ndarray:
    key = np.array([whole_number("seed", seed), whole_number("epoch", number)], np.uint64)
    counter = np.array([0, 0, 0, use], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(whole_number("n", n))
