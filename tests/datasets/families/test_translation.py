"""Pairs of sentences."""

from tests import makers
from tests.datasets.families.convert import convert


def test_multi30k():
    lines = ["A dog .\nTwo\x85men\n", "Ein Hund .\nZwei Männer\n"] * 3
    content = convert("multi30k_en_de", *(makers.gz(text.encode()) for text in lines))
    for split in content.splits.values():
        assert split.inputs.texts() == ["A dog .", "Two\x85men"], "lines end at \\n alone"
        assert split.targets.texts() == ["Ein Hund .", "Zwei Männer"]
