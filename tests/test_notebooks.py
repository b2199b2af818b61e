"""The notebooks: each runs, and what a reader of the repository sees is what its text form says."""

import jupytext
import nbclient
import nbformat
import pytest

from tests.test_style import ROOT

FOLDER = ROOT / "notebooks"
NAMES = [path.stem for path in sorted(FOLDER.glob("[0-9]*.py"))]


def rendered(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_the_rendered_notebook_is_that_of_the_text(name):
    """After a change of the text: `python notebooks/render.py NN`."""
    notebook, text = rendered(name), jupytext.read(FOLDER / f"{name}.py")
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in text.cells
    ]
    nbformat.validate(notebook)


@pytest.mark.parametrize("name", NAMES)
def test_a_rendered_notebook_has_figures_and_is_small(name):
    outputs = [output for cell in rendered(name).cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error" or "Warning" in output.get("text", "")]
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 500_000


def test_every_notebook_is_listed():
    page = (FOLDER / "README.md").read_text()
    assert NAMES and [name for name in NAMES if f"({name}.ipynb)" not in page] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name, monkeypatch):
    """In a kernel with the compiler's usual settings; `make test-notebooks`."""
    render = pytest.importorskip("notebooks.render")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    try:
        cells = render.execute(FOLDER / f"{name}.py").cells
    except nbclient.exceptions.CellExecutionError as error:
        if error.ename != "DataError":
            raise
        pytest.skip(f"its data cannot be had here: {error.evalue}")
    said = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in said if "Warning" in output.get("text", "")]
