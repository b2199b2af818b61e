"""Attention in NumPy and float64, a loop over rows, heads and queries: the reference for all backends."""

import numpy as np


def attend(q, k, v, allowed=None, bias=None, scale=None, factors=None):
    """Outputs `[B, T, N, H]` and weights `[B, N, T, S]`; allowed, bias and dropout's factors broadcast to the weights."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    (rows, queries, heads, width), keys = q.shape, k.shape[1]
    whole = (rows, heads, queries, keys)
    allowed = np.broadcast_to(True if allowed is None else np.asarray(allowed), whole)
    bias = np.broadcast_to(0.0 if bias is None else np.asarray(bias, np.float64), whole)
    factors = np.broadcast_to(1.0 if factors is None else np.asarray(factors, np.float64), whole)
    scale = width**-0.5 if scale is None else scale
    outputs, weights = np.zeros(q.shape), np.zeros(whole)
    for b, n, t in np.ndindex(rows, heads, queries):
        m = n * k.shape[2] // heads
        seen = np.flatnonzero(allowed[b, n, t])
        if len(seen):
            s = scale * k[b, seen, m] @ q[b, t, n] + bias[b, n, t, seen]
            e = np.exp(s - s.max())
            weights[b, n, t, seen] = e / e.sum()
        outputs[b, t, n] = (weights[b, n, t] * factors[b, n, t]) @ v[b, :, m]
    return outputs, weights
