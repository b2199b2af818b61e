"""Handwritten digits, read pixel by pixel."""

from dataclasses import dataclass

import numpy as np

from seqjax.errors import DataError


@dataclass(frozen=True)
class LabelledSequences:
    """xs float32 `[B, T, D]` with labels int32 `[B]`, all of one length."""

    name: str
    xs: np.ndarray
    labels: np.ndarray
    classes: int
    licence: str
    citation: str


def load() -> LabelledSequences:
    """1,797 digits of 8 x 8 pixels as 64 steps of one feature in [0, 1], row by row; from scikit-learn's package.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("digits come with scikit-learn: pip install 'seqjax[experiments]'") from error
    pixels, labels = load_digits(return_X_y=True)
    return LabelledSequences(
        name="digits",
        xs=(pixels[:, :, None] / 16).astype(np.float32),
        labels=labels.astype(np.int32),
        classes=10,
        licence="BSD-3-Clause (scikit-learn); data CC BY 4.0 (UCI)",
        citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998",
    )
