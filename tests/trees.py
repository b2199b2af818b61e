"""Trees of arrays compared."""

import chex


def close(a, b, tolerance=1e-6):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)
