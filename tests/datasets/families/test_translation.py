"""Pairs of sentences."""

import pytest

from seqjax.datasets.families import translation
from seqjax.errors import DataError
from tests import makers
from tests.datasets.families.convert import convert


def test_multi30k():
    lines = ["A dog .\nTwo\x85men\n", "Ein Hund .\nZwei Männer\n"] * 3
    content = convert("multi30k_en_de", *(makers.gz(text.encode()) for text in lines))
    for split in content.splits.values():
        assert split.inputs.texts() == ["A dog .", "Two\x85men"], "lines end at \\n alone"
        assert split.targets.texts() == ["Ein Hund .", "Zwei Männer"]


ENGLISH = """Package: one
Description-md5: 01
Description-en: a tool for words
 It counts the words. It is
 fast and small. It has:
  * a long list of options
  * no
 .
 Second part is here.

Package: two
Description-md5: 02
Description-en: a tool for words
 Another text is here. Two sentences here.

Package: three
Description-md5: 03
Description-en: this one has no translation
"""


FRENCH = """Package: one
Description-md5: 01
Description-fr: un outil pour les mots
 Il compte les mots. Il est rapide et petit. Il a :
  * une longue liste d'options
  * non
 .
 La suite est ici.

Package: two
Description-md5: 02
Description-fr: un outil pour les mots
 Une seule phrase ici, pas deux.
"""


def test_debian_keeps_no_side_of_a_held_out_pair_in_train(monkeypatch):
    drawn = {"one": 50, "two": 1}
    monkeypatch.setattr(translation.hashlib, "sha256", lambda name: Draw(drawn[name.decode()]))
    english = "Package: one\nDescription-md5: 01\nDescription-en: a tool for words\n\n"
    english += "Package: two\nDescription-md5: 02\nDescription-en: a tool for words\n Text of the second.\n"
    french = (
        english.replace("-en:", "-fr:")
        .replace("a tool for words", "un outil", 1)
        .replace("un outil", "un outil pour mots")
    )
    content = convert("debian_en_fr", english.encode(), french.encode())
    assert content.splits["train"].inputs.texts() == ["a tool for words"]
    assert content.splits["test"].inputs.texts() == ["Text of the second."]


class Draw:
    def __init__(self, number):
        self.number = number

    def hexdigest(self):
        return f"{self.number:08x}"


def test_debian_descriptions():
    content = convert("debian_en_fr", ENGLISH.encode(), FRENCH.encode())
    pairs = [pair for s in content.splits.values() for pair in zip(s.inputs.texts(), s.targets.texts())]
    assert sorted(pairs) == sorted(
        [
            ("a tool for words", "un outil pour les mots"),
            ("It counts the words.", "Il compte les mots."),
            ("It is fast and small.", "Il est rapide et petit."),
            ("* a long list of options", "* une longue liste d'options"),
            ("Second part is here.", "La suite est ici."),
        ]
    ), "no pair twice, none below 3 words ('It has:'), none where the number of sentences differs"
    with pytest.raises(DataError, match="no list of descriptions"):
        convert("debian_en_fr", b"<html>\n", FRENCH.encode())
