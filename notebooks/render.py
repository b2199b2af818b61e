"""Runs notebooks and writes them with their outputs, for readers of the repository.

The text form (`NN_name.py`, percent format of jupytext) is what one edits; `NN_name.ipynb` beside it is made from it.

    python notebooks/render.py          # all
    python notebooks/render.py 02 07    # those whose names begin so
"""

import sys
import time
from pathlib import Path

import jupytext
import nbclient
import nbformat

FOLDER = Path(__file__).parent


def texts(*begin: str) -> list[Path]:
    """The text forms whose names begin with one of these; all without any."""
    return sorted(path for path in FOLDER.glob("[0-9]*.py") if path.name.startswith(begin or ""))


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook of a text form with the outputs of a fresh kernel, which runs in the folder of the notebooks.

    Raises:
        CellExecutionError: a cell of it failed.
    """
    notebook = jupytext.read(path)
    notebook.metadata = nbformat.from_dict({"kernelspec": notebook.metadata["kernelspec"]})
    resources = {"metadata": {"path": str(FOLDER)}}
    return nbclient.NotebookClient(
        notebook, timeout=600, resources=resources, record_timing=False, coalesce_streams=True
    ).execute()


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Numbers in place of random ids, no clocks, no progress bars: a second run changes what changed alone."""
    for i, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{i}", nbformat.NotebookNode()
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main(words: list[str]) -> None:
    """Render and print what each takes."""
    for path in texts(*words):
        begun = time.perf_counter()
        target = path.with_suffix(".ipynb")
        nbformat.write(tidy(execute(path)), target)
        print(f"{target.name}: {time.perf_counter() - begun:.0f} s, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(sys.argv[1:])
