"""How a text is cut into words."""

import re
import unicodedata

from seqjax.errors import ArgumentError, closest

PUNCTUATION = ("keep", "separate", "remove")
_INSIDE_OR_MARK = re.compile(r"(?<=\w)(['’-])(?=\w)|[^\w\s]")


def check_punctuation(punctuation: str) -> str:
    """One of `PUNCTUATION`.

    Raises:
        ArgumentError: it is none.
    """
    if punctuation not in PUNCTUATION:
        raise ArgumentError(f"punctuation {punctuation!r} is not known.{closest(str(punctuation), PUNCTUATION)}")
    return punctuation


def split_words(text: str, lower: bool, punctuation: str) -> list[str]:
    """The words of a text, by the options of `Vocabulary.words`.

    Words joined by spaces are split into the same words again, which `Vocabulary.decode` needs.
    """
    text = text.lower() if lower else text
    if punctuation == "keep":
        return text.split()

    def replace(match: re.Match[str]) -> str:
        # Not every character outside \w is punctuation: the vowel signs of many scripts are marks of category M.
        if match[1] or unicodedata.category(match[0])[0] not in "PS":
            return match[0]
        return f" {match[0]} " if punctuation == "separate" else " "

    return _INSIDE_OR_MARK.sub(replace, text).split()
