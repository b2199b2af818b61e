"""The kinds of vocabularies: what a token of each may be, and their order."""

from collections.abc import Mapping

from seqjax.errors import ArgumentError
from seqjax.text.words import split_words

KINDS = ("bytes", "characters", "words")
BYTES = tuple(map(chr, range(256)))


def is_token(text: str, kind: str, lower: bool, punctuation: str) -> bool:
    """Whether a text may be a token of this kind; those of bytes are written `chr(0)` ... `chr(255)`."""
    if kind == "words":
        return split_words(text, lower, punctuation) == [text]
    return len(text) == 1 and (kind == "characters" or ord(text) < 256)


def order_by_count(counts: Mapping[str, int], min_count: int = 1) -> tuple[str, ...]:
    """The tokens with at least `min_count`, the most frequent first, equally frequent ones by code point.

    Raises:
        ArgumentError: none is left.
    """
    kept = {token: count for token, count in counts.items() if count >= min_count}
    if not kept:
        raise ArgumentError("texts holds no token that is kept. An empty file, or min_count too high?")
    return tuple(sorted(kept, key=lambda token: (-kept[token], token)))
