"""Tracks of a match, cut where they break."""

import json

import numpy as np
import pytest

from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import convert


def test_football_cuts_tracks_where_they_break():
    def frame(number, period, *tracks):
        seen = [{"track_id": t, "x": x, "y": -x, **({"trackable_object": 10 * t} if x % 2 else {})} for t, x in tracks]
        return {"frame": number, "period": period, "data": seen}

    first = [frame(i, 1, (1, i), *([(2, i)] if i != 60 else [])) for i in range(120)]
    first += [frame(120 + i, None, (1, i)) for i in range(3)]
    second = [frame(200 + i, 2, (1, i)) for i in range(50)] + [frame(300 + i, 2, (7, i)) for i in range(55)]
    second += [frame(400 + i, 2, (8, i)) for i in range(49)]
    folder = "kloppy-3.19.1/kloppy/tests/files/skillcorner_"
    facts = {"ball": {"trackable_object": 20}, "referees": [{"trackable_object": 80}, {"trackable_object": 70}]}
    files = {f"{folder}structured_data.json": first + second, f"{folder}match_data.json": facts}
    content = convert("football", makers.tar({name: json.dumps(part).encode() for name, part in files.items()}))
    assert {name: [len(t) for t in split.inputs] for name, split in content.splits.items()} == {
        "train": [120, 60, 59],
        "valid": [50],
        "test": [55],
    }
    np.testing.assert_array_equal(content.splits["train"].inputs[2][0], np.float32([61, -61, 6.1]))
    kinds = [[content.group_names[g] for g in split.groups] for split in content.splits.values()]
    assert kinds == [["player", "ball", "ball"], ["player"], ["referee"]]
    with pytest.raises(DataError, match="holds no match as expected"):
        convert("football", makers.tar(dict.fromkeys(files, b'{"frame": 1}')))
