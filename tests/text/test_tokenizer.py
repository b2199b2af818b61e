"""Tokenisers: round trips of any text, special tokens, files, and wrong calls."""

import pickle
import sys

import numpy as np
import pytest
from hypothesis import given

from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from seqjax.text import Vocabulary, load_tokenizer, train_bpe
from tests.text.makers import TEXTS

CORPUS = ["the cat sat on the mat, the cat sat " * 20, "<pad> <bos> " * 300, "🎉 naïve café " * 5]


@pytest.fixture(scope="module")
def bpe():
    pytest.importorskip("tokenizers", reason="tokenizers, of seqjax[text], is not installed")
    return train_bpe(CORPUS, 280)


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
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers, of seqjax[text], is not installed")
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
    pytest.importorskip("tokenizers", reason="tokenizers, of seqjax[text], is not installed")
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
        (lambda bpe: train_bpe(CORPUS, 258), ArgumentError, "256 bytes .* at least 259"),
        (lambda bpe: train_bpe(CORPUS, 300.0), ArgumentTypeError, "size"),
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
