"""Singular values of products of matrices in decimal numbers of as many digits as it takes."""

from decimal import Decimal, localcontext

import numpy as np


def log_singular_values(matrices, ends, digits=300):
    """Natural logarithms of those of M_k ... M_1 for each k of `ends`, by one-sided Jacobi."""
    with localcontext() as context:
        context.prec = digits
        product = np.vectorize(lambda v: Decimal(int(v)), otypes=[object])(np.eye(matrices.shape[1], dtype=int))
        found = []
        for k, matrix in enumerate(matrices, 1):
            product = np.vectorize(lambda v: Decimal(float(v)), otypes=[object])(matrix) @ product
            if k in ends:
                found.append(_orthogonalize(list(product.T.copy())))
        return np.array(found)


def _orthogonalize(columns):
    pairs = [(p, q) for q in range(len(columns)) for p in range(q)]
    worst = 1
    while worst > Decimal(10) ** -30:
        worst = 0
        for p, q in pairs:
            a, b = columns[p], columns[q]
            aa, bb, ab = a @ a, b @ b, a @ b
            if ab == 0:
                continue
            worst = max(worst, abs(ab) / (aa * bb).sqrt())
            slope = (bb - aa) / (2 * ab)
            t = (1 if slope > 0 else -1) / (abs(slope) + (1 + slope * slope).sqrt())
            cos = 1 / (1 + t * t).sqrt()
            columns[p], columns[q] = cos * (a - t * b), cos * (t * a + b)
    return sorted((float((c @ c).ln() / 2) if c @ c else -np.inf for c in columns), reverse=True)
