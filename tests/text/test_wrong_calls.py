"""Wrong calls of vocabularies are named."""

import pytest

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.text import Vocabulary

AB = Vocabulary.characters("ab")


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: AB.encode("abc"), ArgumentError, "'c' .place 2"),
        (lambda: AB.encode("a" * 9 + "🎉"), ArgumentError, "'🎉' .place 9"),
        (lambda: Vocabulary.words("a b").encode("a dog"), ArgumentError, "'dog'"),
        (lambda: AB.id("<pad>"), ArgumentError, "'<pad>'"),
        (lambda: AB.encode(b"ab"), ArgumentTypeError, "found bytes. Decode it"),
        (lambda: AB.encode(["a"]), ArgumentTypeError, "found list"),
        (lambda: AB.encode("a\ud800"), ArgumentError, "surrogate .* at 1"),
        (lambda: Vocabulary.bytes().encode("\udcff"), ArgumentError, "surrogate"),
        (lambda: Vocabulary.words("a\udcff"), ArgumentError, r"texts\[0\] holds the lone surrogate"),
        (lambda: AB.encode("a", begin=True), ArgumentError, "no begin token"),
        (lambda: AB.encode("a", end=True), ArgumentError, "<eos>"),
        (lambda: AB.decode([0, 2]), ArgumentError, r"\[0, 2\), found 2 at 1"),
        (lambda: AB.decode([-1]), ArgumentError, "found -1"),
        (lambda: AB.decode([0.0]), ArgumentTypeError, "float64"),
        (lambda: AB.decode([True]), ArgumentTypeError, "bool"),
        (lambda: AB.decode([[0], [1]]), ArgumentError, r"\(2, 1\). Decode a batch row by row"),
        (lambda: AB.decode(0), ArgumentError, r"shape \(\)"),
        (lambda: Vocabulary.characters([]), ArgumentError, "no token"),
        (lambda: Vocabulary.words("a b", min_count=2), ArgumentError, "min_count too high"),
        (lambda: Vocabulary.words("a b", max_size=0), ArgumentError, "max_size"),
        (lambda: Vocabulary.words("a b", max_size=1, specials=("<pad>",)), ArgumentError, "leaves no word"),
        (lambda: Vocabulary.words("a b", min_count=1.5), ArgumentTypeError, "min_count"),
        (lambda: Vocabulary.characters(b"ab"), ArgumentTypeError, "found bytes"),
        (lambda: Vocabulary.characters(["a", 1]), ArgumentTypeError, r"texts\[1\] must be a str, found int"),
        (lambda: Vocabulary.characters(3), ArgumentTypeError, "found int"),
        (lambda: Vocabulary.characters("a", specials="<pad>"), ArgumentTypeError, "specials must be a tuple"),
        (lambda: Vocabulary.characters("a", specials=("<PAD>",)), ArgumentError, "'<PAD>' is not known"),
        (lambda: Vocabulary.characters("a", specials=("<pad>", "<pad>")), ArgumentError, "twice"),
        (lambda: Vocabulary.bytes(specials=("<unk>",)), ArgumentError, "holds every text"),
        (lambda: Vocabulary("words", "ab"), ArgumentTypeError, "tokens must be a tuple"),
        (lambda: Vocabulary("characters", ("ab",)), ArgumentError, "'ab'"),
        (lambda: Vocabulary("words", ("",)), ArgumentError, "''"),
        (lambda: Vocabulary("byte", ()), ArgumentError, "meant 'bytes'"),
    ],
)
def test_wrong_calls_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
