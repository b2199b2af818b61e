"""Pictures cut out of a sheet."""

import io
import json

import numpy as np
import pytest

from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import RNG, convert


def test_emoji():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (extra: plot)")
    sheet = RNG.integers(0, 256, (68, 102, 4)).astype(np.uint8)
    buffer = io.BytesIO()
    image.fromarray(sheet, "RGBA").save(buffer, "PNG")
    names = [("GRINNING FACE", "Smileys", 2, 1), (None, "Flags", 0, 0)]
    entries = [
        {"unified": str(i), "name": n, "short_name": "flag_x", "category": c, "sheet_x": x, "sheet_y": y}
        for i, (n, c, x, y) in enumerate(names)
    ]
    files = {"package/emoji.json": json.dumps(entries).encode(), "package/img/twitter/sheets/32.png": buffer.getvalue()}
    content = convert("emoji", makers.tar(files))
    found = {}
    for split in content.splits.values():
        for i in range(len(split)):
            found[split.targets.text(i)] = (split.inputs[i], content.group_names[split.groups[i]])
    np.testing.assert_array_equal(found["grinning face"][0], sheet[35:67, 69:101])
    np.testing.assert_array_equal(found["flag x"][0], sheet[1:33, 1:33])
    assert found["flag x"][1] == "Flags"
    with pytest.raises(DataError, match="no picture"):
        convert("emoji", makers.tar({**files, "package/img/twitter/sheets/32.png": b"GIF89a"}))
