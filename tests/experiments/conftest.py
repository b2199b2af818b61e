"""Folders to run in, and data that is made up."""

import pytest

from tests.experiments.makers import MADE, WORDS


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder that one is in, for runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def text(here):
    """A text file in it."""
    (here / "words.txt").write_text(WORDS * 40)
    return "words.txt"


@pytest.fixture
def small_data(here, monkeypatch):
    """Small data of the same kind under the names of the real ones."""
    from seqjax import datasets

    monkeypatch.setattr(datasets, "load", lambda name: datasets.Dataset(MADE[name](name)))
    return here
