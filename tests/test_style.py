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
ROOMS = [
    "errors", "_internal", "initializers", "core", "layers", "cells", "combinators", "attention", "nn", "interop", "seq2seq", "decode",
    "registry", "description", "losses", "metrics", "batching", "text", "tasks", "datasets", "diagnostics", "checkpoint", "train", "plot", "testing", "experiments",
]  # fmt: skip
"""From the ground up: a room imports from those before it alone."""


def tracked():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not in a git checkout, so there is no list of committed files")
    return [ROOT / name for name in listing.stdout.split("\n") if name]


def functions():
    """Every function of the project with its lines, docstring apart, and its arguments, `self` apart."""
    for path in FILES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node, False) or "").splitlines())
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                yield node.name, lines, [a for a in arguments if a.arg not in ("self", "cls")]


def lines_of(folder):
    return sorted(len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py"))


def test_files_and_functions_are_short():
    files = sorted([*lines_of("seqjax"), *lines_of("experiments")])
    assert files[-1] <= 300 and files[len(files) // 2] <= 130
    lengths = sorted(lines for _, lines, _ in functions())
    assert lengths[len(lengths) * 9 // 10] <= 20
    assert {name for name, _, arguments in functions() if len(arguments) > 10} == {"scan"}


def test_signatures_say_what_they_take():
    words = [ast.unparse(a.annotation) for _, _, arguments in functions() for a in arguments if a.annotation]
    assert words.count("Any") <= 0.08 * len(words)


def test_tests_are_many_and_short():
    assert sum(lines_of("tests")) >= 0.7 * sum(lines_of("seqjax"))
    assert lines_of("tests")[-1] <= 300


def imports(path):
    """The project's modules and names that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room(module):
    parts = module.split(".")
    return parts[0] if parts[0] == "experiments" else parts[1]


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


FILES = {module_of(path): path for path in [*SOURCES, *sorted((ROOT / "experiments").rglob("*.py"))]}


@pytest.mark.parametrize("module", FILES)
def test_arrows_point_down(module):
    """From the folders: no room imports from one above it, and none takes another's private name."""
    for name in imports(FILES[module]):
        assert not (module.startswith("seqjax") and name.startswith("experiments")), name
        assert not name.startswith("flax") or room(module) in ("nn", "interop", "experiments"), name
        if not name.startswith(("seqjax.", "experiments.")) or module in ("seqjax.__init__", "seqjax.__main__"):
            continue
        if name.split(".")[1] in [*ROOMS, "experiments"] or name.startswith("experiments."):
            assert ROOMS.index(room(name)) <= ROOMS.index(room(module)), f"{module} imports {name}"
        if room(name) not in (room(module), "_internal"):
            assert not re.search(r"\._", name), f"{module} imports the private {name}"


def test_no_circles_between_files():
    arrows = {module: set() for module in FILES}
    for module, path in FILES.items():
        for name in imports(path):
            known = [name, name.rpartition(".")[0]]
            arrows[module] |= {m for m in known if m in FILES and m != module}
    while free := [module for module, to in arrows.items() if not to & arrows.keys()]:
        for module in free:
            del arrows[module]
    assert not arrows, {module: to & arrows.keys() for module, to in arrows.items()}


def test_all_rooms_are_named():
    there = {path.stem for path in (ROOT / "seqjax").iterdir() if path.suffix in ("", ".py") and path.stem[:2] != "__"}
    assert there - {"py"} == set(ROOMS) - {"experiments"}


def test_tests_mirror_the_rooms():
    for folder in [path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.stem[:2] != "__"]:
        assert folder.name in ROOMS, folder
        assert list(folder.glob("test_*.py")), folder


def test_import_is_light():
    code = "import sys, seqjax; print([m for m in ('flax', 'optax', 'orbax', 'matplotlib', 'sklearn', 'tyro') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def public_things():
    modules = [seqjax, seqjax.attention, seqjax.initializers, seqjax.testing, seqjax.diagnostics, seqjax.datasets, seqjax.plot,
               seqjax.tasks, seqjax.losses, seqjax.decode, seqjax.text, seqjax.batching, seqjax.train, seqjax.interop,
               seqjax.nn, seqjax.seq2seq, seqjax.metrics]  # fmt: skip
    for module in modules:
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            if not name.startswith("_") and (getattr(value, "__module__", None) or "").startswith("seqjax"):
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
                apart = {"self", "key", "given"} | ({"in_features"} if method == "initial_carry" else set())
                found = [p for p in inspect.signature(getattr(value, method)).parameters if p not in apart]
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
