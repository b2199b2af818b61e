"""Rank correlations of few things, with the interval and the chance level that few things allow."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from experiments.harness.spread import CONFIDENCE
from seqjax._internal.types import Array, Float

DRAWS = 2000


class Association(NamedTuple):
    """Whether two measures of the same things rise together; None where one of them is the same for all.

    rho: Spearman's rank correlation. low, high: the ends of its 95 % interval, from resampled things.
    p: the share of shuffles in which it is as far from 0.
    """

    rho: float | None
    low: float | None
    high: float | None
    p: float | None


def association(xs: Sequence[float], ys: Sequence[float], draws: int = DRAWS, seed: int = 0) -> Association:
    """Spearman's rank correlation of two measures, its bootstrap interval and the p of a permutation test.

    Pairs are resampled with replacement, and the interval is that between the quantiles of the correlations of the
    resampled ones (Efron and Tibshirani 1993, chapter 13); resamples of a single rank, which have no correlation, are
    left out. Under the null hypothesis ys are exchangeable: p is the share of shuffled ones whose correlation is at
    least as far from zero, with the found one counted among them (Phipson and Smyth 2010).

    xs, ys: one number for each of N things, not NaN; infinities are ranks like others.
    """
    pair = np.asarray(xs, float), np.asarray(ys, float)
    rho = float(rank_correlation(*pair))
    if np.isnan(rho):
        return Association(None, None, None, None)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(pair[0]), (draws, len(pair[0])))
    resampled = rank_correlation(*(values[picks] for values in pair))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled[~np.isnan(resampled)], (tail, 100 - tail))
    shuffled = rank_correlation(np.tile(pair[0], (draws, 1)), rng.permuted(np.tile(pair[1], (draws, 1)), axis=1))
    p = (1 + np.sum(np.abs(shuffled) >= abs(rho) - 1e-9)) / (1 + draws)
    return Association(rho, float(low), float(high), float(p))


def rank_correlation(xs: Float[Array, "*S N"], ys: Float[Array, "*S N"]) -> Float[np.ndarray, "*S"]:
    """Spearman's rho over the last axis: the correlation of ranks, equal values sharing the mean of theirs.

    NaN where all are equal.
    """
    ranks = [stats.rankdata(values, axis=-1) for values in (xs, ys)]
    a, b = (values - values.mean(-1, keepdims=True) for values in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(a * b, -1) / np.sqrt(np.sum(a**2, -1) * np.sum(b**2, -1)))
