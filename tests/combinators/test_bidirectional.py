"""Both directions are two scans."""

import jax
import numpy as np
import pytest

from seqjax import GRU, LSTM, bidirectional, scan, stack
from tests.trees import close

D, B, T = 3, 3, 7
XS = np.asarray(jax.random.normal(jax.random.key(1), (B, T, D)))


@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "product", "pair"])
def test_bidirectional_is_two_scans(merge):
    cell = bidirectional(LSTM(2), merge=merge)
    params = cell.init(jax.random.key(0), D)
    lengths = np.array([0, 4, T])
    f, ahead = scan(LSTM(2), params["forward"], XS, lengths=lengths)
    b, behind = np.zeros((B, 2)), np.zeros((B, T, 2), np.float32)
    for i, n in enumerate(lengths):  # the real steps alone, turned round by hand
        last, ys = scan(LSTM(2), params["backward"], XS[i, :n][::-1])
        b[i], behind[i, :n] = last.h, ys[::-1]
    want = {
        "concat": np.concatenate([ahead, behind], -1),
        "sum": ahead + behind,
        "mean": (ahead + behind) / 2,
        "product": ahead * behind,
        "pair": (ahead, behind),
    }[merge]
    carry, ys = scan(cell, params, XS, lengths=lengths)
    close(ys, want)
    close((carry.forward, carry.backward.h), (f, b))


def test_packed_sequences_are_the_separate_ones():
    """Three sequences laid end to end with resets, through both directions and dropout per sequence."""
    cell = stack(bidirectional(GRU(2)), LSTM(2))
    params = cell.init(jax.random.key(0), D)
    pieces = [XS[0, :3], XS[1, :2], XS[2, :4]]
    resets = np.zeros(9, bool)
    resets[[0, 3, 5]] = True
    _, ys = scan(cell, params, np.concatenate(pieces), resets=resets)
    close(ys, np.concatenate([scan(cell, params, piece)[1] for piece in pieces]))
