"""Words that a description has and the vocabulary has not, and how alike two lines are."""

import numpy as np
import pytest

from experiments.applications import summarise
from seqjax.text import Vocabulary

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


def test_other_words_of_a_description_have_ids_of_their_own():
    words = Vocabulary.words("a tool sorts", lower=True, punctuation="separate", specials=SPECIALS)
    coder = summarise.Coder(words, extra=2, longest=8)
    text = "Flump, a tool: flump sorts quux and yaks."  # 8 words and marks are read, to `quux`
    assert coder.others(text) == ["flump", ","]
    assert coder._replace(extra=9).others(text) == ["flump", ",", ":", "quux"]
    read = coder.read([text], ["flump sorts quux: a tool"])
    a, tool, sorts = (words.id(word) for word in ("a", "tool", "sorts"))
    assert read.sources[0].tolist() == [7, 8, a, tool, 1, 7, sorts, 1]
    assert read.lines[0].tolist() == [7, sorts, 1, 1, a, tool, 3]
    assert coder.decode(read.lines[0], ["flump", ","]) == ["flump", "sorts", "a", "tool"]


def test_likeness_by_hand():
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed (extra: metrics)")
    found = summarise.likeness([["a", "tool", "a"], ["maps"]], [["a", "small", "tool"], ["maps"]])
    np.testing.assert_allclose(found["word_f1"], (2 * 2 / 6 + 1) / 2)
    assert summarise.likeness([["maps"]], [["maps"]])["chrf"] == 100
