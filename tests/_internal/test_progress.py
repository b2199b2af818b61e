"""The bar: a line now and then in a file, one that moves on a terminal, none without tqdm."""

import io
import sys

import pytest

from seqjax._internal import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, **options):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.bar(10, 2, description="fit", **options) as bar:
        bar.update(5, {"loss": 1.23456, "partial": True, "step": 5})
        bar.update(10, {"norm": 0.25})
    return stream.getvalue()


def test_lines_in_a_file(monkeypatch):
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra: train)")
    first, last = shown(monkeypatch, io.StringIO()).splitlines()  # in between is too soon
    assert first.startswith("fit:  20% 2/10") and last.startswith("fit: 100% 10/10")
    assert "loss 1.235  norm 0.25" in last and "steps/s" in last and "partial" not in last


def test_every_change_is_a_line_where_there_is_time_between(monkeypatch):
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra: train)")
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    lines = shown(monkeypatch, io.StringIO()).splitlines()
    assert any("5/10" in line and "loss 1.235" in line for line in lines)


def test_it_moves_on_a_terminal_that_does_not_say_its_size(monkeypatch):
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra: train)")
    text = shown(monkeypatch, Terminal())
    assert text.count("\r") >= 2 and text.count("\n") == 1 and text.endswith("\n")
    assert "█" in text or "#" in text


def test_bytes_have_their_units(monkeypatch):
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra: train)")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.bar(5_000_000, unit="B") as bar:
        bar.update(5_000_000)
    assert "5.00M/5.00M" in sys.stderr.getvalue()


def test_without_tqdm_there_is_no_bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.std", None)
    assert shown(monkeypatch, io.StringIO()) == ""


def test_an_import_of_jupyter_is_no_notebook(capsys, monkeypatch):
    """Lines went to stdout wherever ipykernel had been imported, as by nbclient."""
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra: dev)")
    pytest.importorskip("tqdm", reason="tqdm is not installed (extra: train)")
    with progress.bar(2, 0, "step", "") as bar:
        bar.update(2, {"loss": 0.5})
    said = capsys.readouterr()
    assert said.out == "" and "2/2" in said.err
