"""What the README and the pages in docs/ say is so: each Python snippet runs alone, and prints what stands below it."""

import ast
import doctest
import re
import sys
import types

import pytest

from tests.stand_ins import made_up
from tests.test_style import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
SNIPPET = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.S)
LINK = re.compile(r"\]\(([^)#\s]+)")
FILE = re.compile(r"`([\w./-]+\.(?:py|csv))`")  # placeholders, with < or *, are none
MADE_UP = {"my_cells.py"}


SNIPPETS = [
    pytest.param(found[1], found[2], id=f"{page.stem}-{number}")
    for page in PAGES
    for number, found in enumerate(SNIPPET.finditer(page.read_text()), 1)
]


def run(code, capsys, monkeypatch, tmp_path):
    """What a snippet prints, typed in an empty folder."""
    module = types.ModuleType("typed")  # so that its classes can be pickled, as those of a notebook can
    monkeypatch.setitem(sys.modules, "typed", module)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "snippet", "exec"), vars(module))
    return capsys.readouterr().out


def agrees(wanted, found):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(wanted, found, flags)


@pytest.mark.filterwarnings("ignore:steps is not pinned")  # which its page says
@pytest.mark.parametrize(("code", "wanted"), SNIPPETS)
def test_snippet_runs_alone(code, wanted, capsys, monkeypatch, tmp_path):
    """With made-up data of the same form, and few steps; the next test takes the real data."""
    monkeypatch.setattr("seqjax.datasets.load", made_up)
    found = run(re.sub(r"\bsteps=\d+", "steps=4", code), capsys, monkeypatch, tmp_path)
    assert wanted is None or "datasets.load" in code or "steps=" in code or agrees(wanted, found), found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:steps is not pinned")  # which its page says
@pytest.mark.parametrize(("code", "wanted"), SNIPPETS)
def test_snippet_on_real_data(code, wanted, capsys, monkeypatch, tmp_path):
    if "datasets.load" not in code and "steps=" not in code:
        pytest.skip("as in the test above")
    found = run(code, capsys, monkeypatch, tmp_path)
    assert wanted is None or agrees(wanted, found), found


def test_a_classifier_in_twelve_lines():
    """From raw text to a model that is saved, loaded elsewhere, and asked."""
    code = SNIPPET.search((ROOT / "docs" / "classify-text.md").read_text())[1]
    statements = [node for node in ast.parse(code).body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    assert len(statements) <= 12 and "._" not in code


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 700  # snippets included


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


def texts_that_name_files():
    """The pages, and the docstrings of the code."""
    yield from ((page, page.read_text()) for page in [*PAGES, ROOT / "experiments" / "README.md"])
    for path in [*(ROOT / "seqjax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                yield path, ast.get_docstring(node) or ""


def test_files_that_are_named_exist():
    """Tests that had moved were named at their old places."""
    named = [(page, name) for page, text in texts_that_name_files() for name in FILE.findall(text)]
    assert len(named) > 20
    for page, name in named:
        places = [folder / name for folder in (ROOT, ROOT / "experiments", page.parent)]
        assert name in MADE_UP or any(place.exists() for place in places), (page.name, name)


def test_map_names_what_is_there():
    tree = re.search(r"```\nseqjax/\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    named = set(re.findall(r"^  ([\w.]+?)/?(?: |$)", tree, re.M))
    there = {path.name for path in (ROOT / "seqjax").glob("[!_]*") if path.name != "py.typed"}
    assert named - {"_internal"} == there


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.M):
            assert f"\n{target}:" in makefile, (page.name, target)
