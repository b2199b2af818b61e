"""The README's Python snippets run, in order, as a reader would type them."""

import re
import sys
import types

from tests.test_style import ROOT

README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.S)


def test_snippets_run(capsys, monkeypatch, tmp_path):
    module = types.ModuleType("readme")  # so that the classes can be pickled, as those of a notebook can
    monkeypatch.setitem(sys.modules, "readme", module)
    monkeypatch.chdir(tmp_path)
    names = vars(module)
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), names)
    said = capsys.readouterr().out
    assert "(8, 50, 256) stack(Embed(256, 64), Dropout(0.0), LSTM(128), Dense(256))" in said
    assert "halves every" in said
    assert "forget gates, read backwards: (1, 29, 16)" in said
    assert "against 0.5" in said and "(32, 64, 1) to bee" in said
    assert "stack(GRU(32), Dense(10)) steps [" in said


def test_idea_in_fifteen_lines_and_a_cell_in_eight():
    assert len(SNIPPETS[0].strip().splitlines()) <= 15
    own = SNIPPETS[1].split("\n\n")[1]
    assert len([line for line in own.splitlines() if line.strip()]) <= 8


def test_map_names_what_is_there():
    tree = re.search(r"```\nseqjax/\n(.*?)```", README, re.S).group(1)
    for name in re.findall(r"^  ([\w.]+)/? ", tree, re.M):
        assert (ROOT / "seqjax" / name).exists(), name
    for path in (ROOT / "seqjax").glob("[!_]*"):
        assert path.name in tree or path.name in (
            "errors.py",
            "files.py",
            "spelling.py",
            "registry.py",
            "trees.py",
            "py.typed",
        ), path


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", README, re.M):
        assert f"\n{target}:" in makefile


def test_files_shown_are_committed():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).exists(), path
