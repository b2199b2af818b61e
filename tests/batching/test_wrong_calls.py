"""Wrong calls name the argument, what was found and the likely slip."""

import jax
import numpy as np
import pytest

from seqjax.batching import Buckets, RandomWindows, Scaler, Shuffled, Stream, Windows, permutation, prefetch, shard
from seqjax.batching.ragged import Ragged
from seqjax.errors import ArgumentError, ArgumentTypeError
from tests.batching.makers import inputs_of

X = inputs_of([2, 3, 4])


Y = [1, 2, 3]


SERIES = np.ones((20, 2))


GOOD = Shuffled(X, Y, 2)


SEVERAL = Ragged.of(X)


HOLED = np.where(np.arange(40).reshape(20, 2) == 13, np.nan, 1.0)


ENDLESS = np.where(np.arange(40).reshape(20, 2) == 13, np.inf, 1.0)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: GOOD.batch(-1), ArgumentError, "step must be a whole number of at least 0, found -1"),
        (lambda: GOOD.batch(1.0), ArgumentTypeError, "step must be a whole number, found 1.0"),
        (lambda: GOOD.batch(True), ArgumentTypeError, "found True"),
        (lambda: GOOD.batch(0, 2, 2), ArgumentError, "process 2 of 2. They count from 0"),
        (lambda: GOOD.batch(0, 0, 3), ArgumentError, "2 rows cannot be shared by 3"),
        (lambda: GOOD.batch(0, 0, 0), ArgumentError, "count must be"),
        (lambda: GOOD.padding_share(-1), ArgumentError, "epoch"),
        (lambda: shard(GOOD.batch(0), 0, 3), ArgumentError, "cannot be shared"),
        (lambda: permutation(-1, 0, 3), ArgumentError, "seed"),
        (lambda: permutation(2**63, 0, 3), ArgumentError, "seed"),
        (lambda: permutation(0, 0, None), ArgumentTypeError, "n must be a whole number"),
        (lambda: Shuffled(X, Y, 0), ArgumentError, "batch_size .* found 0"),
        (lambda: Shuffled(X, Y, 2.5), ArgumentTypeError, "batch_size"),
        (lambda: Shuffled(X, Y, 2, seed=-3), ArgumentError, "seed"),
        (lambda: Shuffled(X, Y, 2, seed=jax.random.key(0)), ArgumentTypeError, "seed"),
        (lambda: Shuffled([], [], 2), ArgumentError, "inputs holds no sequence"),
        (lambda: Shuffled(np.zeros((0, 4)), None, 2), ArgumentError, "inputs holds no sequence"),
        (lambda: Shuffled([[], []], Y[:2], 2), ArgumentError, "no example has a step"),
        (lambda: Shuffled([[1], [2]], None, 2), ArgumentError, "needs two"),
        (lambda: Shuffled(X, Y[:2], 2), ArgumentError, "targets has 2 entries, expected one for each of 3"),
        (lambda: Shuffled(X, X[:2], 2), ArgumentError, "targets has 2 entries"),
        (lambda: Shuffled(X, ["a", "b", "c"], 2), ArgumentTypeError, "targets.*Encode it"),
        (lambda: Shuffled(["ab", "c"], Y[:2], 2), ArgumentTypeError, r"inputs\[0\] .*Encode it"),
        (lambda: Shuffled("abc", Y, 2), ArgumentTypeError, "found str"),
        (lambda: Shuffled(3, Y, 2), ArgumentTypeError, "found int"),
        (lambda: Shuffled(np.arange(3), Y, 2), ArgumentError, r"shape \(3,\), expected sequences"),
        (lambda: Shuffled([1, 2, 3], Y, 2), ArgumentError, r"inputs\[0\] has shape \(\)"),
        (lambda: Shuffled([np.ones((2, 3)), np.ones((2, 4))], [0, 1], 2), ArgumentError, r"inputs\[1\] has shape"),
        (lambda: Shuffled([np.ones(2), np.ones(2, int)], [0, 1], 2), ArgumentTypeError, r"inputs\[1\] is int64"),
        (lambda: Shuffled([[[1, 2], [3]]], [0], 2), ArgumentTypeError, r"inputs\[0\] must be one array"),
        (lambda: Shuffled([[2**31]], [0], 2), ArgumentError, "2147483648, which int32 does not hold"),
        (lambda: Shuffled(X, [0, 1, -(2**40)], 2), ArgumentError, "targets holds -1099511627776"),
        (lambda: Shuffled(X, Y, 2, length=3), ArgumentError, "example 2 has 4 steps; nothing is cut"),
        (lambda: Shuffled(X, [X[0], X[2], X[2]], 2), ArgumentError, r"targets\[1\] has 4 steps, but .*3.*pairs=True"),
        (lambda: Buckets(X, X[::-1], 2), ArgumentError, r"targets\[0\] has 4 steps, but inputs\[0\] has 2"),
        (lambda: Shuffled(X, Y, 2, pairs=True), ArgumentError, "pairs=True is for targets that are sequences"),
        (lambda: Shuffled(X, None, 2, pairs=True), ArgumentError, "pairs=True is for targets that are sequences"),
        (lambda: Shuffled(X, X, 2, pairs="yes"), ArgumentTypeError, "pairs must be True or False"),
        (lambda: Shuffled(X, [[], [], []], 2, pairs=True), ArgumentError, "no example has a step"),
        (lambda: Shuffled(X, X, 2, pairs=True, target_length=2), ArgumentError, "target_length is 2, but example 2"),
        (lambda: Shuffled(X, X, 2, target_length=4), ArgumentError, "target_length is for pairs=True"),
        (lambda: Shuffled(X, Y, 2, length=8, multiple=4), ArgumentError, "multiple and length"),
        (lambda: Shuffled(X, Y, 2, multiple=0), ArgumentError, "multiple"),
        (lambda: Shuffled(X, Y, 2, remainder="keep"), ArgumentError, 'remainder must be "pad" or "drop"'),
        (lambda: Shuffled(X, Y, 4, remainder="drop"), ArgumentError, "3 examples do not fill one batch of 4"),
        (lambda: Shuffled(X, Y, 2, shuffle="no"), ArgumentTypeError, "shuffle must be True or False"),
        (lambda: Buckets(X, Y, 2, buckets=0), ArgumentError, "buckets"),
        (lambda: Buckets(X, Y, 2, buckets=()), ArgumentError, "rising"),
        (lambda: Buckets(X, Y, 2, buckets=(4, 4)), ArgumentError, "rising"),
        (lambda: Buckets(X, Y, 2, buckets=(2, 3)), ArgumentError, "example 2 has 4 steps, beyond the last"),
        (lambda: Buckets(X, Y, 2, buckets="many"), ArgumentTypeError, "found 'many'"),
        (lambda: Buckets(X, Y, 2, buckets=2.0), ArgumentTypeError, "found 2.0"),
        (lambda: Buckets(X, Y, 2, buckets=(2, 4), remainder="drop", shuffle=1), ArgumentTypeError, "shuffle"),
        (lambda: Buckets(X, Y, 3, remainder="drop"), ArgumentError, "do not fill one batch"),
        (lambda: Stream(np.arange(10), 2, 5), ArgumentError, r"ids has 10 steps .* = 11"),
        (lambda: Stream(np.arange(10), 0, 5), ArgumentError, "batch_size"),
        (lambda: Stream(np.arange(10), 2, 0), ArgumentError, "length"),
        (lambda: Stream("to be or not to be", 1, 5), ArgumentTypeError, "Encode it"),
        (lambda: Stream(5, 1, 5), ArgumentError, "single number"),
        (lambda: Stream(X, 1, 5), ArgumentTypeError, "ids must be one array"),
        (lambda: Stream(np.arange(10), 2, 2).starts(-1), ArgumentError, "step"),
        (lambda: RandomWindows(np.arange(5), 2, 5), ArgumentError, "length \\+ 1 = 6"),
        (lambda: RandomWindows(np.arange(9), 2, 5, seed=None), ArgumentTypeError, "seed"),
        (lambda: Windows(SERIES, 18, 3, batch_size=2), ArgumentError, "0 windows of 18 \\+ 3 steps"),
        (lambda: Windows(SERIES, 4, 1, batch_size=99, remainder="drop"), ArgumentError, "16 windows.*batch_size 99"),
        (lambda: Windows(SERIES, 0, 3, batch_size=2), ArgumentError, "context"),
        (lambda: Windows(SERIES, 3, 0, batch_size=2), ArgumentError, "horizon"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, stride=0), ArgumentError, "stride"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, columns=[2]), ArgumentError, r"some of 0 ... 1, found \[2\]"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, columns=1), ArgumentTypeError, "columns must be a list"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, columns=[]), ArgumentError, "columns"),
        (lambda: Windows(SERIES[None], 3, 1, batch_size=2), ArgumentError, "Several series. Pass a list"),
        (lambda: Windows([SERIES[None]], 3, 1, batch_size=2), ArgumentError, "2 feature axes"),
        (lambda: Windows(HOLED, 3, 1, batch_size=2), ArgumentError, 'nan at step 6, column 1.*gaps="skip"'),
        (lambda: Windows(ENDLESS, 3, 1, batch_size=2, gaps="skip"), ArgumentError, "inf at step 6, column 1$"),
        (lambda: Windows(SERIES, 3, 1, batch_size=2, gaps="fill"), ArgumentError, 'gaps must be "error" or "skip"'),
        (lambda: Scaler.fit(np.ones(5)), ArgumentError, "train.:, None"),
        (lambda: Scaler.fit(np.ones((0, 5))), ArgumentError, "some values"),
        (lambda: Scaler.fit(np.full((3, 2), np.nan)), ArgumentError, "column 0: all are NaN"),
        (lambda: Scaler.fit(ENDLESS), ArgumentError, "infinite value in column 1"),
        (lambda: Scaler.fit([["a"]]), ArgumentTypeError, "Encode it"),
        (lambda: Scaler.fit(SERIES)(np.ones((4, 3))), ArgumentError, "expected 2 columns last"),
        (lambda: Scaler.fit(SERIES).inverse(np.ones((4, 1))), ArgumentError, "scaler.columns"),
        (lambda: Scaler.fit(SERIES).columns([-1]), ArgumentError, "columns"),
        (lambda: prefetch(GOOD, 0, 2, depth=0), ArgumentError, "depth"),
        (lambda: prefetch(GOOD, -1, 2), ArgumentError, "start"),
        (lambda: prefetch(GOOD, 3, 2), ArgumentError, "steps 3 to 2"),
        (lambda: prefetch(GOOD, 0, 2, transfer=3), ArgumentTypeError, "transfer"),
        (lambda: prefetch([1, 2], 0, 2), ArgumentTypeError, "source must have a method batch"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
