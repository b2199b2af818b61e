"""Vocabularies: round trips of any text, special tokens, counting."""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.text import Vocabulary
from tests.text.makers import ALL, EDGES, LOOKALIKES, TEXTS


@given(TEXTS)
def test_bytes_hold_every_text_as_its_utf8(text):
    plain, special = Vocabulary.bytes(), Vocabulary.bytes(specials=EDGES)
    assert plain.encode(text).tolist() == list(text.encode())
    assert special.encode(text).tolist() == [byte + 3 for byte in text.encode()]
    assert plain.decode(plain.encode(text)) == text
    assert special.decode(special.encode(text, begin=True, end=True)) == text
    assert len(plain) == 256 and len(special) == 259


@given(TEXTS.filter(bool))
def test_characters_hold_every_text_of_their_alphabet(text):
    vocabulary = Vocabulary.characters([text[::2], text[1::2]], specials=ALL)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert ids.dtype == np.int32 and ids.shape == (len(text),)
    assert set(ids.tolist()) == set(range(4, len(vocabulary)))
    assert len(vocabulary) == 4 + len(set(text))


@given(st.lists(TEXTS.map(lambda text: "".join(text.split())).filter(bool), min_size=1, max_size=8))
def test_words_hold_every_text_of_single_spaces(words):
    text = " ".join(words)
    vocabulary = Vocabulary.words(text)
    ids = vocabulary.encode(text)
    assert [vocabulary.tokens[i] for i in ids] == words
    assert vocabulary.decode(ids) == text
    assert vocabulary.decode(vocabulary.encode(f" \n{text}\t")) == text


@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_order_is_by_count_then_token_whatever_the_order_of_the_texts(letters):
    counts = Counter(letters)
    wanted = tuple(sorted(counts, key=lambda c: (-counts[c], c)))
    for order in (letters, letters[::-1]):
        assert Vocabulary.characters(order).tokens == wanted
        assert Vocabulary.words(" ".join(order)).tokens == wanted


def test_words_are_left_out_by_count_and_by_size():
    text = "a a a b b c d d"
    assert Vocabulary.words(text, min_count=2).tokens == ("a", "b", "d")
    small = Vocabulary.words(text, max_size=4, specials=("<unk>", "<pad>"))
    assert small.tokens == ("a", "b") and len(small) == 4
    assert small.encode("a c b x").tolist() == [2, 1, 3, 1]
    assert small.decode([2, 1, 3, 0, 0]) == "a \ufffd b"


def test_special_ids_come_first_in_one_order():
    vocabulary = Vocabulary.characters("ab", specials=ALL[::-1])
    assert (vocabulary.padding, vocabulary.unknown, vocabulary.begin, vocabulary.end) == (0, 1, 2, 3)
    assert vocabulary.encode("ba", begin=True, end=True).tolist() == [2, 5, 4, 3]
    assert vocabulary.encode("é🎉\x00").tolist() == [1, 1, 1]
    some = Vocabulary.characters("ab", specials=("<eos>",))
    assert (some.padding, some.unknown, some.begin, some.end) == (None, None, None, 0)
    assert [some.id("a"), some.id("b")] == [1, 2]


@pytest.mark.parametrize("make", [Vocabulary.characters, Vocabulary.words])
def test_text_that_looks_special_is_text(make):
    vocabulary = make(LOOKALIKES, specials=ALL)
    ids = vocabulary.encode(LOOKALIKES)
    assert ids.min() >= 4
    assert vocabulary.decode(ids) == LOOKALIKES
    assert vocabulary.decode([0, 2, *ids, 3, 0]) == LOOKALIKES


@pytest.mark.parametrize("make", [Vocabulary.characters, Vocabulary.words])
def test_special_tokens_are_found_by_their_names(make):
    vocabulary = make("a b", specials=ALL)
    assert [vocabulary.id(name) for name in ALL] == [0, 1, 2, 3]
    assert Vocabulary.bytes(specials=EDGES).id("<eos>") == 2


def test_a_special_token_and_a_word_of_its_name_are_two():
    vocabulary = Vocabulary.words(LOOKALIKES, specials=("<unk>", "<pad>"))
    word = vocabulary.encode("<pad>").tolist()
    assert vocabulary.id("<pad>") == vocabulary.padding == 0 and word != [0]
    assert vocabulary.decode(word) == "<pad>"
    # A word of the text, as there is no such special token.
    assert Vocabulary.words(LOOKALIKES, specials=("<unk>",)).id("<pad>") > 0


def test_id_gives_the_unknown_id_for_unknown_tokens_alone():
    words = Vocabulary.words("a b", specials=("<unk>",))
    assert words.id("dog") == words.unknown == 0
    for name in ("<pad>", "<bos>", "<eos>"):
        with pytest.raises(
            ArgumentError, match=f"'{name}' is not in the vocabulary. Make it with '{name}' in specials"
        ):
            words.id(name)
    for text in ("a b", "", " a"):
        with pytest.raises(ArgumentError, match="not one of the words"):
            words.id(text)
    with pytest.raises(ArgumentError, match="'ab' is not one of the characters of a text. Several"):
        Vocabulary.characters("ab", specials=("<unk>",)).id("ab")
    assert Vocabulary.bytes().id("\xff") == 255
    with pytest.raises(ArgumentError, match="not one of the bytes"):
        Vocabulary.bytes().id("🎉")
    with pytest.raises(ArgumentTypeError, match="token must be a str, found int"):
        words.id(0)


def test_bytes_that_are_no_utf8_are_shown_as_such():
    assert Vocabulary.bytes().decode([97, 0xFF, 98, 0xC3]) == "a\ufffdb\ufffd"


@given(TEXTS.filter(lambda text: bool(text.split())), st.sampled_from([Vocabulary.characters, Vocabulary.words]))
def test_decoding_and_encoding_again_changes_nothing(text, make):
    vocabulary = make(text)
    ids = vocabulary.encode(text)
    assert vocabulary.encode(vocabulary.decode(ids)).tolist() == ids.tolist()


@pytest.mark.parametrize("vocabulary", [Vocabulary.bytes(), Vocabulary.characters("ab"), Vocabulary.words("a b")])
def test_empty_text(vocabulary):
    assert vocabulary.encode("").shape == (0,) and vocabulary.encode("").dtype == np.int32
    assert vocabulary.decode([]) == ""


def test_five_megabytes_are_encoded_within_a_second():
    text = "To be, or not to be: that is the question é. " * 110_000
    for vocabulary in (Vocabulary.bytes(), Vocabulary.characters(text[:100])):
        vocabulary.encode(text[:100])
        start = time.process_time()
        ids = vocabulary.encode(text)
        assert time.process_time() - start < 1
        assert vocabulary.decode(ids) == text


def test_many_texts_are_encoded_one_after_the_other():
    vocabulary = Vocabulary.characters("abc", specials=("<eos>",))
    found = vocabulary.encode_all(["ab", "", "cab"], end=True)
    assert [vocabulary.decode(ids) for ids in found] == ["ab", "", "cab"] and found.lengths.tolist() == [3, 1, 4]
    with pytest.raises(ArgumentError, match="'x'"):
        vocabulary.encode_all(["a", "x"])
