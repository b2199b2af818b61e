"""What is typed in Jupyter: a page's path from data to predictions, and figures that show by themselves."""

import nbclient
import nbformat
import pytest

from tests.test_documents import SNIPPET
from tests.test_style import ROOT

SETUP = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from seqjax import datasets
from tests.stand_ins import made_up
datasets.load = made_up
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Outputs of each cell of a notebook that was executed in a folder of its own."""
    page = SNIPPET.search((ROOT / "docs" / "classify-text.md").read_text())[1].replace("steps=600", "steps=4")
    cells = [SETUP, page, "from seqjax import plot, tasks\nplot.task(tasks.adding)", "plot.task(tasks.parity);"]
    cells.append(
        next(code for code, _ in SNIPPET.findall((ROOT / "docs" / "decoding.md").read_text()) if "stream" in code)
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    folder = tmp_path_factory.mktemp("notebook")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in notebook.cells]


def test_the_path_runs(outputs):
    said = "".join(output.text for output in outputs[1] if output.output_type == "stream")
    assert "[[" in said and "4/4" in said  # the confusion table, and the progress
    assert not [output for output in outputs[1] if output.output_type == "error"]
    assert "Warning" not in said


def test_a_figure_shows_once_without_a_magic_line(outputs):
    shown = [output for output in outputs[2] if "image/png" in getattr(output, "data", {})]
    assert len(shown) == 1
    assert not [output for output in outputs[3] if "image/png" in getattr(output, "data", {})]


def test_a_text_shows_while_it_is_written(outputs):
    """Flushed token by token; the kernel joins what comes at once."""
    said = "".join(output.text for output in outputs[4])
    assert len(said) == 12 and set(said) <= set("to be or not to be")
