"""Piano rolls."""

import io

import numpy as np
import pytest

from seqjax.errors import DataError
from tests.datasets.families.convert import RNG, convert, lists


@pytest.mark.parametrize("name", ["jsb_chorales", "nottingham"])
def test_piano_rolls(name):
    scipy_io = pytest.importorskip("scipy.io", reason="scipy comes with jax")
    rolls = {part: [RNG.integers(0, 2, (n, 88)) for n in (4, 2)] for part in ("train", "valid", "test")}
    arrays = {}
    for part, given in rolls.items():
        arrays[f"{part}data"] = np.empty((1, 2), object)
        arrays[f"{part}data"][0, :] = given
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, arrays)
    content = convert(name, buffer.getvalue())
    for part, given in rolls.items():
        assert lists(content.splits[part].inputs) == [roll.tolist() for roll in given]
        assert content.splits[part].targets is None
    with pytest.raises(DataError, match="no file of piano rolls"):
        convert(name, b"MATLAB 5.0 MAT-file" + b"\0" * 200)
