"""The data set "tiny" in an empty cache, and commands that stand in for package managers."""

import pytest

from seqjax.datasets.fetch import packages
from tests.datasets.stand_ins import stand_in
from tests.datasets.tiny import CONTENT, entry, register


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """The data set "tiny", an empty cache, and a folder with its original."""
    monkeypatch.setenv("SEQJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEQJAX_DATA", str(tmp_path / "data"))
    register(monkeypatch, entry())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tiny-1.0.tgz").write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def no_folder(monkeypatch):
    monkeypatch.delenv("SEQJAX_DATA", raising=False)


@pytest.fixture
def pip(monkeypatch, tmp_path):
    def install(body):
        monkeypatch.setattr(packages, "_pip", lambda: [str(stand_in(tmp_path, "pip", body))])

    return install


@pytest.fixture
def on_path(monkeypatch, tmp_path):
    def install(name, body):
        stand_in(tmp_path, name, body)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    return install
