"""Originals: temporary files, progress, files of one's own."""

import contextlib

import pytest

from seqjax.datasets.fetch import commands, origins
from seqjax.datasets.fetch.origins import LocalFile
from seqjax.datasets.fetch.packages import Pip
from seqjax.errors import DataError
from tests.datasets.stand_ins import CONTENT, PIP, get

pytestmark = pytest.mark.usefixtures("no_folder")


class Told:
    def __init__(self):
        self.updates = []

    def update(self, done, values=None):
        self.updates.append(done)


def test_temporary_files_are_gone_and_a_bar_shows_how_far_it_is(pip, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "POLL_SECONDS", 0.01)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(origins.tempfile, "tempdir", str(tmp_path / "temporary"))
    pip(PIP + "(target / 'x-1.0.whl').write_bytes(content)\ntime.sleep(0.3)")
    told, made = Told(), []

    @contextlib.contextmanager
    def bar(total, **options):
        made.append((total, options))
        yield told

    monkeypatch.setattr(origins, "bar", bar)
    assert get(Pip("x==1.0"), progress=True) == CONTENT
    assert made == [(1200, {"unit": "B", "description": "x-1.0.whl"})] and told.updates[-1] == 1200
    assert list((tmp_path / "temporary").iterdir()) == []
    assert get(Pip("x==1.0"), progress=False) == CONTENT and len(made) == 1


def test_a_file_of_ones_own_is_read_where_it_lies(tmp_path, monkeypatch):
    (tmp_path / "mine").write_bytes(CONTENT)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(tmp_path / "mine"), "~/mine"):
        assert get(LocalFile(path)) == CONTENT
    monkeypatch.setattr(origins, "bar", lambda *args, **options: pytest.fail("a bar, though nothing is fetched"))
    assert get(LocalFile("~/mine"), progress=True) == CONTENT
    with pytest.raises(DataError, match="no-such.*cannot be read: No such file"):
        get(LocalFile(str(tmp_path / "no-such")))
    with pytest.raises(DataError, match="mine is damaged or another version"):
        get(LocalFile("~/mine"), sha256="0" * 64)


def test_no_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(origins.tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(DataError, match="a temporary folder cannot be used: .*Set TMPDIR"):
        get(Pip("x==1.0"))
