"""What a new cell, task or data set costs, counted: two files each, and every list in the package has it."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from seqjax.datasets.content import Content, Split, pack
from seqjax.datasets.fetch import store
from tests.test_style import ROOT

LIST = """
import runpy, sys
print("listed:")
sys.argv = ["seqjax"]
runpy.run_module("seqjax", run_name="__main__")
"""


class Copy:
    """A copy of the package that a recipe is followed in."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(ROOT / "seqjax", folder / "seqjax", ignore=shutil.ignore_patterns("__pycache__"))

    def add(self, path, text):
        path = self.folder / "seqjax" / path
        assert not path.exists()
        path.write_text(text)

    def put_before(self, path, *pairs):
        """Put a text before the first place of another, pair by pair."""
        path = self.folder / "seqjax" / path
        content = path.read_text()
        for place, text in pairs:
            assert place in content, f"{place!r} is no longer in {path.name}: has the recipe changed?"
            content = content.replace(place, text + place, 1)
        path.write_text(content)

    def touched(self):
        """The files that are not as they were."""
        there = {path.relative_to(self.folder): path.read_bytes() for path in self.folder.glob("seqjax/**/*.py")}
        return sorted(
            str(path)
            for path, text in there.items()
            if not (ROOT / path).exists() or (ROOT / path).read_bytes() != text
        )

    def run(self, code, **environment):
        """What a program says that has the copy, and the tests of the repository."""
        environment = {**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}", **environment}
        words = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(words, capture_output=True, text=True, cwd=self.folder, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip().split("\n")

    def run_and_list(self, name, code, **environment):
        """What the program says, after which `python -m seqjax` lists the name in the same process."""
        said = self.run(code + LIST, **environment)
        end = said.index("listed:")
        assert re.search(rf"^  {name}\b", "\n".join(said[end:]), re.MULTILINE)
        return said[:end]


@pytest.fixture
def copy(tmp_path):
    return Copy(tmp_path)


MGU = '''"""The minimal gated unit."""

from jax.numpy import tanh

from seqjax.core.gating import activate
from seqjax.core.recurrent import Gated


class MGU(Gated):
    """Minimal gated unit (Zhou et al. 2016), its gate applied after the recurrent product.

    f = sigmoid(x Wf + bf + h Uf),  n = tanh(x Wn + bn + f (h Un)),  h' = (1 - f) h + f n
    """

    gates = ("f", "n")

    def update(self, p, h, z, m):
        F = self.features
        (f,) = activate(z[..., :F] + m[..., :F], "sigmoid")
        h = (1 - f) * h + f * tanh(z[..., F:] + f * m[..., F:])
        return h, h
'''


def test_a_new_cell_touches_two_files(copy):
    pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
    copy.add("cells/mgu.py", MGU)
    copy.put_before(
        "cells/__init__.py",
        ("from seqjax.cells.rnn", "from seqjax.cells.mgu import MGU\n"),
        ('"RNN",', '"MGU", '),
        ("LSTM(4)", "MGU(4), "),
    )
    assert copy.touched() == ["seqjax/cells/__init__.py", "seqjax/cells/mgu.py"]
    said = copy.run_and_list(
        "MGU",
        "import jax, seqjax\n"
        "from seqjax.checkpoint import load, save_model\n"
        "from tests.table import TABLE\n"
        "cell = seqjax.cell_from_text('stack(MGU(4), Dense(1))')\n"
        "save_model('model', cell, cell.init(jax.random.key(0), 3), in_features=3)\n"
        "print(load('model').cell, 'MGU' in seqjax.__all__)\n"
        "print([row.cell for row in TABLE if type(row.cell) is seqjax.MGU])\n",
    )
    assert said == ["stack(MGU(4), Dense(1)) True", "[MGU(4)]"]


TASK = '''"""Say what was said before."""

import jax
import jax.numpy as jnp

from seqjax.tasks.scoring import Classification


class Previous(Classification):
    """Say the bit before. Baseline: bits are fair and independent, accuracy 1/2."""

    name, vocabulary, out_features, min_length = "previous", 2, 2, 2

    def example(self, key, n, length):
        bits = jax.random.randint(key, (length,), 0, 2)
        return bits, jnp.roll(bits, 1), jnp.arange(length) > 0

    def baseline_for(self, n):
        return 1 / 2
'''


def test_a_new_task_touches_two_files(copy):
    copy.add("tasks/previous.py", TASK)
    copy.put_before(
        "tasks/__init__.py",
        ("from seqjax.tasks.recall", "from seqjax.tasks.previous import Previous\n"),
        ("reverse = ", "previous = Previous()\n"),
    )
    assert copy.touched() == ["seqjax/tasks/__init__.py", "seqjax/tasks/previous.py"]
    code = "from seqjax import tasks\nprint(tasks.find('previous'), tasks.ALL['previous'].baseline(5))\n"
    said = copy.run_and_list("previous", code)
    assert said == ["Previous() 0.5"]


FAMILY = '''"""Tones."""

import numpy as np

from seqjax.datasets.content import Content, Split
from seqjax.datasets.entry import Entry
from seqjax.datasets.fetch.origins import Original


def _convert(originals):
    waves = np.frombuffer(originals["tones.bin"], np.uint8).reshape(3, 4)
    return Content({"train": Split(waves[:2]), "test": Split(waves[2:])})


ENTRIES = (
    Entry(
        name="tones",
        about="three tones",
        licence="CC0",
        counts={"train": 2, "test": 1},
        originals=(Original("tones.bin", "SHA256", 12),),
        convert=_convert,
        digest="DIGEST",
        size=12,
    ),
)
'''


def test_a_new_data_set_touches_two_files(copy, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tones.bin").write_bytes(bytes(range(12)))
    waves = np.arange(12, dtype=np.uint8).reshape(3, 4)
    digest = store.digest(pack(Content({"train": Split(waves[:2]), "test": Split(waves[2:])})))
    sha256 = hashlib.sha256(bytes(range(12))).hexdigest()
    copy.add("datasets/families/tones.py", FAMILY.replace("SHA256", sha256).replace("DIGEST", digest))
    copy.put_before("datasets/families/__init__.py", ("    tracks,\n", "    tones,\n"), ("tracks, emoji)", "tones, "))
    assert copy.touched() == ["seqjax/datasets/families/__init__.py", "seqjax/datasets/families/tones.py"]
    folders = {"SEQJAX_DATA": str(tmp_path / "data"), "SEQJAX_CACHE": str(tmp_path / "cache")}
    code = "from seqjax import datasets\nprint(datasets.load('tones').train.inputs.tolist())\n"
    said = copy.run_and_list("tones", code, **folders)
    assert said == ["[[0, 1, 2, 3], [4, 5, 6, 7]]"]
