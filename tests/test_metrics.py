"""Scores of written sequences against numbers worked out by hand, and against the packages that define them."""

import math
import sys

import numpy as np
import pytest

from seqjax import metrics
from seqjax.errors import ArgumentError, ArgumentTypeError, DataError

WRITTEN = np.array([[5, 6, 2, 0], [5, 6, 7, 2], [5, 5, 2, 2]])
TARGETS = np.array([[5, 6, 2, 0, 0], [5, 6, 2, 0, 0], [5, 6, 7, 8, 2]])
LENGTHS, TARGET_LENGTHS = np.array([3, 4, 3]), np.array([3, 3, 5])


def by_hand(a, b, n, m):
    return float(list(a[:n]) == list(b[:m]))


def test_exact_match():
    wanted = [by_hand(*row) for row in zip(WRITTEN, TARGETS, LENGTHS, TARGET_LENGTHS)]
    assert wanted == [1, 0, 0]
    np.testing.assert_array_equal(metrics.exact_match(WRITTEN, TARGETS, LENGTHS, TARGET_LENGTHS), wanted)
    np.testing.assert_array_equal(metrics.exact_match(TARGETS, WRITTEN, TARGET_LENGTHS, LENGTHS), wanted)
    np.testing.assert_array_equal(metrics.exact_match(WRITTEN, WRITTEN), [1, 1, 1])
    beginning = metrics.exact_match(WRITTEN[:, :2], WRITTEN)  # a part of the target is not the target
    np.testing.assert_array_equal(beginning, [0, 0, 0])
    nothing = metrics.exact_match(WRITTEN, TARGETS, np.zeros(3, int), np.zeros(3, int))
    np.testing.assert_array_equal(nothing, [1, 1, 1])
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (50, 2, 3)), rng.integers(0, 2, (50, 2, 4))
    n, m = rng.integers(0, 4, (50, 2)), rng.integers(0, 5, (50, 2))
    wanted = [[by_hand(*r) for r in zip(*rows)] for rows in zip(a, b, n, m)]
    np.testing.assert_array_equal(metrics.exact_match(a, b, n, m), wanted)
    assert 0 < np.mean(wanted) < 1


def test_token_accuracy():
    wanted = [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(metrics.token_accuracy(WRITTEN, TARGETS, LENGTHS), wanted)
    np.testing.assert_array_equal(metrics.token_accuracy(TARGETS, WRITTEN)[0], [1, 1, 1, 1])


def test_perplexity_and_bits():
    assert metrics.perplexity(0.0) == 1 and metrics.perplexity(1e6) == math.inf
    assert math.isclose(metrics.perplexity(np.float32(math.log(8))), 8, rel_tol=1e-6)
    assert math.isclose(metrics.bits(math.log(8)), 3)
    assert math.isnan(metrics.perplexity(math.nan))


def test_bleu_by_hand():
    """6 of 7 tokens, 4 of 6 pairs, 2 of 5 triples and 1 of 4 quadruples of equal length."""
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed (extra: metrics)")
    score = metrics.bleu(["The cat sat on the mat."], ["The cat sat on a mat."])
    assert math.isclose(score.value, 100 * (6 / 7 * 4 / 6 * 2 / 5 * 1 / 4) ** 0.25, rel_tol=1e-9)
    assert score.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    short = metrics.bleu(["The cat sat on"], ["The cat sat on a mat."])  # all right, but 4 tokens of 7
    assert math.isclose(short.value, 100 * math.exp(1 - 7 / 4), rel_tol=1e-9)
    assert (
        metrics.bleu(["a b c d"], ["A B C D"]).value < 1 < metrics.bleu(["a b c d"], ["A B C D"], lowercase=True).value
    )
    letters = metrics.bleu(["abcd"], ["abce"], tokenize="char").value
    assert math.isclose(
        letters, 100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25, rel_tol=1e-9
    )  # none of 1: smoothed, 1/2


def test_bleu_and_chrf_of_several_references():
    package = pytest.importorskip("sacrebleu", reason="sacrebleu is not installed (extra: metrics)")
    texts = ["the cat is on the mat", "there is a dog", "so it goes on"]
    references = [
        ["a cat is on the mat", "the cat sat on the mat"],
        ["there is a dog here"],
        ("so it goes", "it goes on so"),
    ]
    turned = [
        ["a cat is on the mat", "there is a dog here", "so it goes"],
        ["the cat sat on the mat", None, "it goes on so"],
    ]
    assert metrics.bleu(texts, references).value == package.metrics.BLEU().corpus_score(texts, turned).score
    assert "nrefs:var" in metrics.bleu(texts, references).signature
    for order in (0, 2):
        found = metrics.chrf(texts, references, word_order=order)
        assert found.value == package.metrics.CHRF(word_order=order).corpus_score(texts, turned).score
        assert f"nw:{order}" in found.signature


def test_chrf_by_hand():
    """One character: of "ab" against "ac" one of two is right, of pairs none of one; beta is 2."""
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed (extra: metrics)")
    assert math.isclose(metrics.chrf(["ab"], ["ac"]).value, 100 * (1 / 2 + 0) / 2, rel_tol=1e-6)
    assert metrics.chrf(["ab"], ["ab"]).value == 100


def test_word_error_rate_by_hand():
    pytest.importorskip("jiwer", reason="jiwer is not installed (extra: metrics)")
    written, wanted = ["the cat sat down", "on mat", "x"], ["the cat sat", "on a mat", "y z"]
    assert math.isclose(metrics.word_error_rate(written, wanted), (1 + 1 + 2) / 8)
    assert metrics.word_error_rate(wanted, written) == 4 / 7  # the order of the two matters
    assert metrics.word_error_rate(["a b c"], ["a"]) == 2.0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: metrics.exact_match(WRITTEN * 1.0, TARGETS), ArgumentTypeError, r"losses\.accuracy"),
        (lambda: metrics.exact_match(WRITTEN[:, None], TARGETS), ArgumentError, "Beams"),
        (lambda: metrics.exact_match(WRITTEN, TARGETS, np.zeros(2, int)), ArgumentError, "lengths has shape"),
        (lambda: metrics.token_accuracy([1, 2], TARGETS), ArgumentTypeError, "array of token ids, found list"),
        (lambda: metrics.perplexity(np.ones(3)), ArgumentTypeError, "one number"),
        (lambda: metrics.bits("1"), ArgumentTypeError, "must be a number"),
        (lambda: metrics.bleu("a text", ["a text"]), ArgumentTypeError, "texts must be a list of texts, found str"),
        (lambda: metrics.bleu(["a"], ["a", "b"]), ArgumentError, "1 texts and 2 references"),
        (lambda: metrics.bleu([], []), ArgumentError, "at least one"),
        (lambda: metrics.chrf([[1, 2]], ["a"]), ArgumentTypeError, "must be texts"),
        (lambda: metrics.chrf([3], ["a"]), ArgumentTypeError, "Decode them first"),
        (lambda: metrics.bleu(["a"], [[]]), ArgumentTypeError, "references must be texts"),
        (lambda: metrics.bleu(["a"], ["a"], tokenize="words"), ArgumentError, "tokenize must be one of"),
        (lambda: metrics.chrf(["a"], ["a"], word_order=-1), ArgumentError, "word_order"),
        (lambda: metrics.word_error_rate(["a"], [["a", "b"]]), ArgumentTypeError, "one text for each"),
        (lambda: metrics.word_error_rate(["a"], [" "]), ArgumentError, "hold no word"),
    ],
)
def test_wrong_calls(call, error, words):
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed (extra: metrics)")
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(("package", "score"), [("sacrebleu", metrics.bleu), ("jiwer", metrics.word_error_rate)])
def test_a_package_that_is_missing_is_named(package, score, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"{package} is not installed: pip install 'seqjax\[metrics\]'"):
        score(["a"], ["a"])
