"""Words with tags, and letters out of a pickle that is read without running anything."""

import functools
import pickle

import numpy as np
import pytest

from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import RNG, convert, lists


def test_brown():
    files = {f"package/ca{i:02}": f"\n\n\tThe/at {i}/cd\n".encode() for i in range(1, 12)}
    files["package/cr01"] = b"1/2/nn ,/,\n\n./.\n"
    files["package/cb03"] = b"never/rb seen/vbn The/at\n"
    content = convert("brown", makers.tar({**files, "package/README": b"x", "package/cats.txt": b"y"}))
    words, tags = content.input_names, content.target_names

    def sentences(split):
        s = content.splits[split]
        return [([words[i] for i in a], [tags[i] for i in b]) for a, b in zip(s.inputs, s.targets)]

    assert sentences("valid") == [(["The", "<unk>"], ["at", "cd"]), (["<unk>", "<unk>", "The"], ["rb", "vbn", "at"])]
    assert sentences("test") == [(["The", "<unk>"], ["at", "cd"])]
    assert words[:2] == ("<unk>", "The")
    assert sentences("train")[-2:] == [(["1/2", ","], ["nn", ","]), (["."], ["."])]
    assert [content.group_names[g] for g in content.splits["train"].groups[-3:]] == [
        "press: reportage",
        "humor",
        "humor",
    ]


def letters(data):
    content = pickle.dumps(data, protocol=3)
    return content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def test_ocr_letters():
    words = [RNG.integers(0, 2, (n, 128)) for n in (3, 1, 2)]
    labels = [np.array([0, 25, 3]), np.array([1]), np.array([2, 2])]
    objects = np.empty(3, object)
    objects[:] = words
    content = convert("ocr_letters", letters({"data": objects, "labels": labels, "folds": np.array([0, 4, 0])}))
    assert lists(content.splits["train"].inputs) == [words[1].tolist()]
    assert content.splits["test"].inputs.values.dtype == np.uint8
    assert lists(content.splits["test"].inputs) == [words[0].tolist(), words[2].tolist()]
    assert lists(content.splits["test"].targets) == [[0, 25, 3], [2, 2]]
    assert content.splits["train"].groups.tolist() == [4]


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch was-here",)


@pytest.mark.parametrize(
    "data, message",
    [
        (pickle.dumps(Evil(), protocol=2), r"asks for (posix|os).system"),
        (letters(np.arange(3))[:-9], "damaged"),
        (b"", "damaged"),
        (letters({"data": functools.partial(print)}), "asks for functools.partial"),
        (letters({"data": [np.zeros(3, "V8")], "labels": [], "folds": []}), "an array of 'V8'"),
        (letters({"data": [np.zeros(3)], "labels": []}), "damaged: KeyError"),
        (letters([1, 2]), "damaged: TypeError"),
        (letters({"data": [5], "labels": [], "folds": np.zeros(1)}), "damaged: AttributeError"),
        (b"\x80\x03X\xff\xff\xff\x7f", "damaged"),
        (b"\x80\x03cnumpy\nndarray\n)\x81(K\x01K\x05tb.", "damaged"),
    ],
    ids=["evil", "short", "empty", "partial", "raw memory", "no folds", "a list", "a number", "cut", "a bad state"],
)
def test_the_one_pickle_is_read_without_running_anything(data, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        convert("ocr_letters", data)
    assert list(tmp_path.iterdir()) == []
