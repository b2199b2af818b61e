"""Vocabularies come back from their files as they were, and damaged files are refused."""

import json
import pickle

import pytest

from seqjax.errors import DataError
from seqjax.text import Vocabulary
from tests.text.makers import ALL, EDGES, LOOKALIKES


def test_vocabularies_are_values(tmp_path):
    for vocabulary in (
        Vocabulary.characters('añ🎉\x00\n"', specials=ALL),
        Vocabulary.words(LOOKALIKES, specials=("<pad>",)),
        Vocabulary.bytes(specials=EDGES),
    ):
        path = tmp_path / "vocabulary.json"
        vocabulary.save(path)
        for same in (Vocabulary.load(path), pickle.loads(pickle.dumps(vocabulary))):
            assert same == vocabulary and hash(same) == hash(vocabulary)
            assert same.tokens == vocabulary.tokens and same.specials == vocabulary.specials
        assert list(tmp_path.iterdir()) == [path]
    assert Vocabulary.characters("ab") != Vocabulary.words("a b") and "2 characters" in repr(
        Vocabulary.characters("ab")
    )


GOOD = {
    "format": "seqjax vocabulary", "version": 1, "kind": "words", "lower": False, "punctuation": "keep",
    "specials": [], "tokens": ["a", "b"],
}  # fmt: skip


@pytest.mark.parametrize(
    "change, message",
    [
        ({"tokens": ["a", "a"]}, "'a' twice"),
        ({"tokens": "ab"}, "must be a list, found str"),
        ({"specials": None}, "specials must be a list, found NoneType"),
        ({"tokens": ["a b"]}, "'a b'"),
        ({"tokens": [1]}, "must be a str, found int"),
        ({"tokens": ["\ud800"]}, "surrogate"),
        ({"kind": "character", "tokens": ["a"]}, "meant 'characters'"),
        ({"kind": "bytes"}, "Vocabulary.bytes"),
        ({"specials": ["<start>"]}, "'<start>' is not known"),
        ({"version": 2}, "version 2, expected 1"),
        ({"format": "other"}, "no vocabulary"),
        ({"lower": 1}, "lower must be a bool, found int"),
        ({"lower": True, "tokens": ["A"]}, "'A', which is not one of the words"),
        ({"punctuation": "none"}, "punctuation 'none' is not known"),
    ],
)
def test_damaged_files_are_refused(tmp_path, change, message):
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(GOOD))
    assert Vocabulary.load(path).tokens == ("a", "b")
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(DataError, match=message):
        Vocabulary.load(path)


@pytest.mark.parametrize("content", [b"", b'{"format": ', b"[1]", b"\xff\xfe\x00", None])
def test_files_that_hold_no_vocabulary(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="vocabulary.json"):
        Vocabulary.load(path)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        Vocabulary.bytes().save(tmp_path / "folder")
    with pytest.raises(DataError, match="cannot be written"):
        Vocabulary.bytes().save("/proc/no/file")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]
    assert list((tmp_path / "folder").iterdir()) == []
    Vocabulary.bytes().save(tmp_path / "new" / "file")
    assert Vocabulary.load(tmp_path / "new" / "file") == Vocabulary.bytes()
