"""Descriptions of packages."""

import pytest

from seqjax.datasets.families import debian
from seqjax.errors import DataError
from tests.datasets.families.convert import convert

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
    monkeypatch.setattr(debian.hashlib, "sha256", lambda name: Draw(drawn[name.decode()]))
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


def test_summaries_keep_packages_of_one_source_together(monkeypatch):
    about = " It counts the words of a text, and it is fast.\n"
    entries = {
        "one": f"a tool for words\n{about} .\n Version 1 of the tool\n  * itself",
        "one-doc": f"a tool for words - documentation\n{about} .\n Its texts.",
        "two": "another tool here\n Version 12 counts the words of a text, and it is fast.",
        "three": "another tool here, too\n Version 3 counts the words of a text, and it is fast.",
        "four": "too short\n A text of ten words that has a summary of two.",
        "five": "a text too short\n Nine words are no description of this kind, no.",
        "six": "a tool for words\n Another text of ten words, but a summary that is known.",
    }
    text = "".join(
        f"Package: {k}\nDescription-md5: 0{i}\nDescription-en: {v}\n\n" for i, (k, v) in enumerate(entries.items())
    )
    drawn = {"It": 50, "Version": 1, "Another": 4}
    monkeypatch.setattr(debian.hashlib, "sha256", lambda name: Draw(drawn[name.decode().split()[0]]))
    splits = convert("debian_summaries", text.encode()).splits
    assert splits["train"].targets.texts() == ["a tool for words", "a tool for words - documentation"]
    assert splits["train"].inputs.text(0).split("\n") == [about.strip(), "Version 1 of the tool", "* itself"]
    assert splits["test"].targets.texts() == ["another tool here, too", "another tool here"], "numbers make no new text"
    assert not len(splits["valid"]), "its summary stands in train"
