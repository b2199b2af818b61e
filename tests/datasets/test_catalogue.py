"""Entries by name, and what is checked of what they give."""

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np
import pytest

from seqjax import datasets
from seqjax.batching.ragged import Ragged
from seqjax.datasets import Content, LocalFile, Original, Split, catalogue
from seqjax.datasets.families import FAMILIES
from seqjax.errors import ArgumentError, DataError
from tests.datasets.tiny import GOOD, entry, register, texts, words
from tests.test_style import ROOT


def test_an_unknown_name():
    with pytest.raises(ArgumentError, match="'mnst' is not known. Perhaps you meant 'mnist'"):
        datasets.load("mnst")


@pytest.mark.parametrize(
    "near, meant",
    [("MNIST", "mnist"), ("Fashion-MNIST", "fashion_mnist"), ("Penn Treebank", "penn_treebank"), ("IMDb", "imdb")],
)
def test_near_misses_are_suggested_whatever_their_case(near, meant):
    with pytest.raises(ArgumentError, match=f"{near!r} is not known. Perhaps you meant {meant!r}"):
        datasets.load(near)


def test_splits_that_overlap_say_so_where_they_are_printed(tiny, monkeypatch):
    assert "overlap" not in repr(datasets.load("tiny"))
    register(monkeypatch, entry(overlap={"test": 1}))
    assert "overlap: inputs that stand in train too: 1 of 1 in test" in repr(datasets.load("tiny"))
    for name in ("nottingham", "multi30k_en_de", "multi30k_en_fr"):
        assert "stand in train too: 1 of" in datasets.find(name).describe()["overlap"]


def test_overlap_counts_equal_inputs():
    train = Split(Ragged.of(["a", "to be", "b"]), np.arange(3))
    test = Split(Ragged.of(["to be", "to", "to be"]), np.arange(3))
    assert Content({"train": train, "test": test, "valid": train}).overlap() == {"test": 2, "valid": 3}


def test_a_data_set_of_ones_own_needs_one_file_and_is_told_its_pins(tiny):
    (original,) = entry().originals
    path = str(tiny / "data" / "tiny-1.0.tgz")
    mine = entry(name="mine", digest="", size=0, counts={}, originals=(Original("mine.tgz", origin=LocalFile(path)),))
    mine = dataclasses.replace(mine, convert=functools.partial(words, "mine.tgz"))
    with pytest.warns(UserWarning, match="mine is not pinned") as told:
        assert texts(datasets.load(mine)) == GOOD
    message = str(told[0].message)
    assert f'Write into its Entry: digest="{entry().digest}", size=' in message
    assert f'Original("mine.tgz"): sha256="{original.sha256}", size={original.size}.' in message
    assert told[0].filename == __file__ and not (tiny / "cache").exists(), "nothing is kept that could change unseen"
    size = int(re.search(r"size=(\d+)", message)[1])
    pinned = dataclasses.replace(mine, digest=entry().digest, size=size)
    assert texts(datasets.load(pinned)) == GOOD and (tiny / "cache" / pinned.filename).exists()
    assert "mine" not in datasets.names() and "<Dataset mine>" in repr(datasets.load(pinned))


def test_a_conversion_that_gives_other_values(tiny, monkeypatch):
    register(monkeypatch, entry(digest="0" * 64))
    with pytest.raises(DataError, match=f"tiny: the conversion gave other values .* digest {entry().digest}, 58 bytes"):
        datasets.load("tiny")
    assert list((tiny / "cache").iterdir()) == []


def test_another_number_of_examples(tiny, monkeypatch):
    register(monkeypatch, entry(counts={"train": 2, "test": 1}))
    with pytest.raises(DataError, match=r"tiny: found {'train': 1, 'test': 1} examples, expected {'train': 2"):
        datasets.load("tiny")


@pytest.mark.parametrize("name", datasets.names())
def test_every_entry_is_complete(name):
    known = catalogue.find(name)
    assert known.about and known.licence and known.citation and known.splits and known.counts
    assert set(known.counts) <= {"train", "valid", "test"} and min(known.counts.values()) > 0
    for original in known.originals:
        assert original.size > 0
        assert (
            len(original.sha256) == 64 and int(original.sha256, 16)
        ) or original.filename == "free_spoken_digits.zip"
    assert len(known.digest) == 64 and int(known.digest, 16) and known.size > 0


def test_the_catalogue_has_no_strangers():
    entries = [entry for family in FAMILIES for entry in family.ENTRIES]
    assert len({entry.name for entry in entries}) == len({entry.digest for entry in entries}) == len(entries)
    assert datasets.names() == sorted(entry.name for entry in entries)


def test_a_data_set_is_in_one_file_and_its_family_in_the_list():
    """Entry, pins and facts stand together: whoever adds one has nothing else to edit."""
    files = {path: path.read_text() for path in (ROOT / "seqjax").rglob("*.py")}
    folder = Path(FAMILIES[0].__file__).parent
    assert {Path(family.__file__) for family in FAMILIES} == set(folder.glob("*.py")) - {folder / "__init__.py"}
    for family in FAMILIES:
        for known in family.ENTRIES:
            assert [path for path in files if known.digest in files[path]] == [Path(family.__file__)]


def test_sets_of_one_package_are_made_together(tiny, monkeypatch):
    for name, digest, size in (
        ("twin", entry().digest, 100),
        ("bad", "0" * 64, 100),
        ("big", "1" * 64, 10**8),
    ):
        register(monkeypatch, entry(name=name, digest=digest, size=size))
    assert texts(datasets.load("tiny")) == GOOD, "that another one fails does not matter"
    assert sorted(path.name.split("-")[0] for path in (tiny / "cache").iterdir()) == ["tiny", "twin"]
    (tiny / "data" / "tiny-1.0.tgz").unlink()
    assert texts(datasets.load("twin")) == GOOD


def test_a_convert_that_returns_nothing_is_named():
    entry = datasets.Entry(name="x", about="a", originals=(), convert=lambda originals: None)
    with pytest.raises(TypeError, match=r"x: convert must return a datasets.Content, found NoneType"):
        datasets.load(entry)


@pytest.mark.parametrize(("name", "meant"), [("val", "valid"), ("tst", "test"), ("trian", "train")])
def test_a_misspelt_split_names_the_one_that_is_meant(name, meant):
    data = datasets.Dataset({"train": datasets.Split(np.zeros((2, 3)))})
    with pytest.raises(AttributeError, match=f"Did you mean '{meant}'"):
        getattr(data, name)
    assert not hasattr(data, "something_else")
