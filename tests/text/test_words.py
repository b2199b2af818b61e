"""Lower case and punctuation as options of words, and texts cut to a length."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.errors import ArgumentError, ArgumentTypeError
from seqjax.text import Vocabulary, train_bpe
from seqjax.text.words import PUNCTUATION
from tests.text.makers import TEXTS

SAID = 'Who\'s there? "Nay, ANSWER me":\n a well-known 3.5% naïve 🎉 हिन्दी.'


@pytest.mark.parametrize(
    "lower, punctuation, words",
    [
        (False, "keep", 'Who\'s there? "Nay, ANSWER me": a well-known 3.5% naïve 🎉 हिन्दी.'),
        (True, "keep", 'who\'s there? "nay, answer me": a well-known 3.5% naïve 🎉 हिन्दी.'),
        (True, "separate", 'who\'s there ? " nay , answer me " : a well-known 3 . 5 % naïve 🎉 हिन्दी .'),
        (False, "remove", "Who's there Nay ANSWER me a well-known 3 5 naïve हिन्दी"),
    ],
)
def test_words_by_option(lower, punctuation, words, tmp_path):
    vocabulary = Vocabulary.words(SAID, lower=lower, punctuation=punctuation)
    assert set(vocabulary.tokens) == set(words.split())
    assert vocabulary.decode(vocabulary.encode(SAID)) == words
    vocabulary.save(tmp_path / "vocabulary.json")
    again = Vocabulary.load(tmp_path / "vocabulary.json")
    assert again == vocabulary and (again.lower, again.punctuation) == (lower, punctuation)
    assert again.encode(SAID).tolist() == vocabulary.encode(SAID).tolist()


@given(TEXTS, st.booleans(), st.sampled_from(PUNCTUATION))
def test_what_is_decoded_is_encoded_to_the_same_words(text, lower, punctuation):
    vocabulary = Vocabulary.words(text + " the end", lower=lower, punctuation=punctuation)
    ids = vocabulary.encode(text).tolist()
    assert vocabulary.encode(vocabulary.decode(ids)).tolist() == ids
    if punctuation != "keep":
        marks = [
            c for word in vocabulary.tokens for c in word if unicodedata.category(c)[0] in "PS" and c not in "'’-_"
        ]
        assert all(mark in vocabulary.tokens for mark in marks)
        assert punctuation == "separate" or not marks


def test_words_of_other_options_are_other_vocabularies():
    plain, lower = Vocabulary.words("a b"), Vocabulary.words("a b", lower=True)
    assert plain != lower and plain.tokens == lower.tokens
    with pytest.raises(ArgumentError, match="'B' is not one of the words"):
        lower.id("B")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Vocabulary.words("to be or not to be", specials=("<bos>", "<eos>")),
        lambda: Vocabulary.characters("to be or not to be", specials=("<bos>", "<eos>")),
        lambda: Vocabulary.bytes(specials=("<bos>", "<eos>")),
        lambda: pytest.importorskip("tokenizers") and train_bpe("to be or not to be", 300),
    ],
    ids=["words", "characters", "bytes", "bpe"],
)
def test_texts_are_cut_to_a_length_and_keep_their_ends(make):
    coder = make()
    whole = coder.encode("to be or not to be").tolist()
    edges = coder.encode("to be or not to be", begin=True, end=True, max_length=5).tolist()
    assert edges == [coder.begin, *whole[:3], coder.end]
    assert coder.encode("to be or not to be", max_length=4).tolist() == whole[:4]
    assert coder.encode("to", end=True, max_length=1000).tolist() == coder.encode("to", end=True).tolist()
    many = coder.encode_all(["to be or not to be", "", "to be"], end=True, max_length=3)
    assert many.lengths.tolist() == [3, 1, 3] and [row[-1] for row in many] == [coder.end] * 3
    for least in (2, 0, -1):
        with pytest.raises(ArgumentError, match="max_length must be a whole number of at least 3"):
            coder.encode("to", begin=True, end=True, max_length=least)
    with pytest.raises(ArgumentTypeError, match="max_length"):
        coder.encode("to", max_length=2.5)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: Vocabulary.words("a", punctuation="seperate"), ArgumentError, "meant 'separate'"),
        (lambda: Vocabulary.words("a", lower="yes"), ArgumentTypeError, "lower must be True or False"),
        (lambda: Vocabulary.words("?!", punctuation="remove"), ArgumentError, "no token"),
        (lambda: Vocabulary("words", ("A",), lower=True), ArgumentError, "'A', which is not one of the words"),
        (lambda: Vocabulary("words", ("a,",), punctuation="separate"), ArgumentError, "'a,'"),
        (lambda: Vocabulary("characters", ("a",), lower=True), ArgumentError, "are for words"),
    ],
)
def test_wrong_options_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
