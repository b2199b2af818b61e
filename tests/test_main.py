"""`python -m seqjax` lists what the tables hold."""

import os
import subprocess
import sys

import pytest

from seqjax import cells, datasets, layers, tasks
from seqjax.__main__ import main
from tests.test_style import ROOT


def test_everything_is_listed(capsys):
    main([])
    said = capsys.readouterr().out
    for name in [*tasks.ALL, *datasets.names(), *map(repr, (*cells.EXAMPLES, *layers.EXAMPLES)), "stack(...)"]:
        assert f"  {name} " in said, name
    assert "  as_cell(TransformerBlock, ...) " in said  # they were not listed
    assert all(line.split(maxsplit=1)[1:] for line in said.splitlines() if line.startswith("  ")), said


def test_help(capsys):
    main(["--help"])
    assert "python -m seqjax cells" in capsys.readouterr().out


def test_one_kind(capsys):
    main(["cells"])
    assert "Gated recurrent unit" in (said := capsys.readouterr().out) and "mnist" not in said
    with pytest.raises(SystemExit, match="'cats' is none of cells"):
        main(["cats"])


@pytest.mark.parametrize("words", ["seqjax", "seqjax.datasets", "experiments list"])
def test_a_reader_that_has_seen_enough_gets_no_traceback(words, tmp_path):
    """`| head` once ended in that of a BrokenPipeError."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", *words.split()]
    done = subprocess.run(call, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
