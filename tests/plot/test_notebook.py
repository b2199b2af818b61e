"""A figure is shown by Jupyter as it is: no magic line, no pyplot, and once."""

import base64
import subprocess
import sys

import pytest

from tests.test_style import ROOT

CELL = "from seqjax import plot\nplot.training({'a': [0.0, 1.0]}, {'a': [2.0, 1.0]})"


def pictures(*cells):
    """The pictures that each cell of one notebook shows."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (extra: dev)")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (extra: dev)")
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = []
    for cell in notebook.cells:
        assert not [output for output in cell.outputs if output.output_type == "error"]
        data = [output.get("data", {}) for output in cell.outputs]
        shown.append([base64.b64decode(each["image/png"]) for each in data if "image/png" in each])
    return shown


@pytest.mark.parametrize(
    "cell",
    [CELL, "import matplotlib.pyplot as plt\n" + CELL, "%matplotlib inline\n" + CELL],
    ids=["", "pyplot", "magic"],
)
def test_the_last_line_of_a_cell_is_shown_once(cell):
    (picture,), none = pictures(cell, cell.replace("plot.training", "figure = plot.training"))
    assert picture[:4] == b"\x89PNG"
    assert none == []


def test_a_script_needs_no_screen_and_no_pyplot(tmp_path):
    code = f"{CELL.replace('plot.training', 'figure = plot.training')}\nfigure.savefig('a.svg')\nimport sys\n"
    code += "print('matplotlib.pyplot' in sys.modules)"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "MPLBACKEND": "tkagg"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
    assert (tmp_path / "a.svg").stat().st_size > 1000
