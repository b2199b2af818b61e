"""The shape of the code base, held by tests: sizes, arrows, light imports, documentation, clean files."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seqjax

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "seqjax").rglob("*.py"))
LAYERS = ["errors", "files", "batch", "ragged", "spelling", "trees", "initializers", "gating", "plan", "held", "taps", "linearize", "gradient", "loop", "cell", "recurrent", "wrapper", "cells", "combinators",
          "checks", "expected", "driver", "scan", "trace", "registry", "losses", "diagnostics", "tasks", "text", "batching", "train", "datasets", "plot",
          "testing"]  # fmt: skip


def tracked():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not in a git checkout, so there is no list of committed files")
    return [ROOT / name for name in listing.stdout.split("\n") if name]


def test_no_file_is_long():
    files = [*SOURCES, *(ROOT / "experiments").rglob("*.py")]
    sizes = sorted(len(path.read_text().splitlines()) for path in files)
    assert sizes[-1] <= 300
    assert sizes[len(sizes) // 2] <= 150


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    mine = path.relative_to(ROOT / "seqjax").parts[0].removesuffix(".py")
    if mine == "__init__":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in filter(None, names):
            assert not name.startswith(("experiments", "flax")), name
            parts = name.split(".")
            if parts[0] == "seqjax" and len(parts) > 1 and parts[1] in LAYERS:
                assert LAYERS.index(parts[1]) <= LAYERS.index(mine), f"{mine} imports {name}"


def test_import_is_light():
    code = "import sys, seqjax; print([m for m in ('flax', 'optax', 'orbax', 'matplotlib', 'sklearn', 'tyro') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def public_things():
    modules = [seqjax, seqjax.initializers, seqjax.testing, seqjax.diagnostics, seqjax.datasets, seqjax.plot,
               seqjax.tasks, seqjax.losses, seqjax.text, seqjax.batching, seqjax.train]  # fmt: skip
    for module in modules:
        for name, value in vars(module).items():
            if not name.startswith("_") and getattr(value, "__module__", "").startswith("seqjax"):
                yield f"{module.__name__}.{name}", value


def test_everything_public_is_documented():
    for name, value in public_things():
        assert inspect.getdoc(value), name
        if inspect.isclass(value):
            for member, f in vars(value).items():
                if not member.startswith("_") and inspect.isfunction(f):
                    assert inspect.getdoc(getattr(value, member)), f"{name}.{member}"


def test_protocol_argument_names():
    """Every cell names its arguments as the protocol does."""
    wanted = {"init": ["key", "in_features", "dtype"], "initial_carry": ["params", "batch_shape"],
              "sequence": ["params", "carry", "xs", "plan"]}  # fmt: skip
    for name, value in public_things():
        if inspect.isclass(value) and issubclass(value, seqjax.Cell):
            for method, names in wanted.items():
                found = [
                    p for p in inspect.signature(getattr(value, method)).parameters if p not in ("self", "key", "asked")
                ]
                assert found == [n for n in names if n != "key"], f"{name}.{method}"


def test_committed_files_hold_no_addresses_or_paths():
    bad = re.compile(r"/(root|work|home|tmp)/\w|pypi\.org|pythonhosted|registry\.npmjs|index-url\s*=|ghp_\w{20}")
    for path in tracked():
        if path.suffix in (".png", ".svg", ".gz", ".npz") or path == Path(__file__) or not path.exists():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not bad.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"


def test_nothing_large_is_committed():
    for path in tracked():
        assert not path.exists() or path.stat().st_size < 1_000_000, path
