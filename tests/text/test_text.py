"""Vocabularies and tokenisers: round trips of any text, special tokens, files, and wrong calls."""

import json
import pickle
import sys
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from seqjax.text import Vocabulary, load_tokenizer, train_bpe

ALL = ("<pad>", "<unk>", "<bos>", "<eos>")
EDGES = ("<pad>", "<bos>", "<eos>")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("ab \n<>🎉é\u0301\x00"), max_size=30)
LOOKALIKES = "<pad> <unk> <bos>a<eos>"
CORPUS = ["the cat sat on the mat, the cat sat " * 20, "<pad> <bos> " * 300, "🎉 naïve café " * 5]


@pytest.fixture(scope="module")
def bpe():
    pytest.importorskip("tokenizers", reason="tokenizers, of seqjax[text], is not installed")
    return train_bpe(CORPUS, 280)


# Vocabularies ---------------------------------------------------------------------------------------------------------


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


GOOD = {"format": "seqjax vocabulary", "version": 1, "kind": "words", "specials": [], "tokens": ["a", "b"]}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"tokens": ["a", "a"]}, "'a' twice"),
        ({"tokens": "ab"}, "must be a list, found str"),
        ({"specials": None}, "specials must be a list"),
        ({"tokens": ["a b"]}, "'a b'"),
        ({"tokens": [1]}, "must be a str, found int"),
        ({"tokens": ["\ud800"]}, "surrogate"),
        ({"kind": "character", "tokens": ["a"]}, "meant 'characters'"),
        ({"kind": "bytes"}, "Vocabulary.bytes"),
        ({"specials": ["<start>"]}, "'<start>' is not known"),
        ({"version": 2}, "version 2, expected 1"),
        ({"format": "other"}, "no vocabulary"),
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
        (lambda: Vocabulary.words("a b", min_count=1.5), ArgumentError, "min_count"),
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


# Tokenisers -----------------------------------------------------------------------------------------------------------


@given(text=TEXTS)
def test_bpe_holds_every_text(bpe, text):
    ids = bpe.encode(text, begin=True, end=True)
    assert ids.dtype == np.int32 and ids[0] == bpe.begin and ids[-1] == bpe.end
    assert bpe.decode(ids) == text
    assert np.array_equal(ids[1:-1], bpe.encode(text))
    assert ids[1:-1].min(initial=3) >= 3


def test_bpe_learns_merges_and_keeps_special_ids_apart(bpe):
    assert len(bpe) == 280 and (bpe.padding, bpe.unknown, bpe.begin, bpe.end) == (0, None, 1, 2)
    assert len(bpe.encode("the cat sat")) == 3
    assert bpe.id("the") == bpe.encode("the")[0] and bpe.decode([bpe.id("the")]) == "the"
    ids = bpe.encode(CORPUS[1])
    assert ids.min() >= 3 and bpe.decode(ids) == CORPUS[1]
    assert bpe.decode([0, 0, *bpe.encode("a"), 2]) == "a"
    assert bpe.encode("").shape == (0,)


def test_bpe_is_a_function_of_the_texts_and_a_value(bpe, tmp_path):
    assert train_bpe(CORPUS, 280) == bpe
    assert train_bpe(CORPUS, 270) != bpe
    bpe.save(tmp_path / "tokenizer.json")
    for same in (load_tokenizer(tmp_path / "tokenizer.json"), pickle.loads(pickle.dumps(bpe))):
        assert same == bpe and hash(same) == hash(bpe)
        assert same.encode("the cat").tolist() == bpe.encode("the cat").tolist()
    assert list(tmp_path.iterdir()) == [tmp_path / "tokenizer.json"]
    assert repr(bpe) == "<Tokenizer: 280 tokens>"


def test_a_file_of_others_keeps_the_names_it_has(tmp_path):
    """A word-level file with its own special tokens, a template that adds them, truncation and padding."""
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "the": 3, "cat": 4}
    theirs = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    theirs.add_special_tokens(["[PAD]", "[UNK]", "[CLS]"])
    theirs.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 2)])
    theirs.enable_truncation(2)
    theirs.enable_padding(length=7)
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = load_tokenizer(tmp_path / "tokenizer.json", begin="[CLS]", padding="[PAD]", unknown="[UNK]")
    assert (ours.padding, ours.unknown, ours.begin, ours.end) == (0, 1, 2, None)
    assert ours.encode("the cat the dog").tolist() == [3, 4, 3, 1]
    assert ours.encode("the cat", begin=True).tolist() == [2, 3, 4]
    assert ours.decode([2, 3, 4, 0]) == "the cat"
    with pytest.raises(ArgumentError, match=r"end: .* no token '\[SEP\]'"):
        load_tokenizer(tmp_path / "tokenizer.json", end="[SEP]")
    with pytest.raises(ArgumentError, match="no end token"):
        ours.encode("the", end=True)


def test_files_that_are_no_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    Vocabulary.bytes().save(path)
    for content in (path.read_bytes(), b"", b"{}", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="tokenizer.json"):
            load_tokenizer(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_tokenizer(tmp_path / "missing.json")


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda bpe: train_bpe(CORPUS, 258), ArgumentError, "at least 259 .256 bytes"),
        (lambda bpe: train_bpe(CORPUS, 300.0), ArgumentError, "size"),
        (lambda bpe: train_bpe(CORPUS, 300, min_count=0), ArgumentError, "min_count"),
        (lambda bpe: train_bpe([b"a"], 300), ArgumentTypeError, r"texts\[0\].*found bytes"),
        (lambda bpe: train_bpe(CORPUS, 300, specials=("<cls>",)), ArgumentError, "'<cls>'"),
        (lambda bpe: bpe.encode("\ud800"), ArgumentError, "surrogate"),
        (lambda bpe: bpe.encode(1), ArgumentTypeError, "found int"),
        (lambda bpe: bpe.decode([280]), ArgumentError, r"\[0, 280\), found 280"),
        (lambda bpe: bpe.id("zebra"), ArgumentError, "'zebra'"),
    ],
)
def test_wrong_calls_of_tokenizers_are_named(bpe, call, error, message):
    with pytest.raises(error, match=message):
        call(bpe)


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (tmp_path / "tokenizer.json").write_text("{}")
    for call in (lambda: train_bpe("a", 300), lambda: load_tokenizer(tmp_path / "tokenizer.json")):
        with pytest.raises(DataError, match=r"pip install 'seqjax\[text\]'"):
            call()


def test_many_texts_are_encoded_one_after_the_other():
    vocabulary = Vocabulary.characters("abc", specials=("<eos>",))
    found = vocabulary.encode_all(["ab", "", "cab"], end=True)
    assert [vocabulary.decode(ids) for ids in found] == ["ab", "", "cab"] and found.lengths.tolist() == [3, 1, 4]
    with pytest.raises(ArgumentError, match="'x'"):
        vocabulary.encode_all(["a", "x"])
