"""The examples in the docstrings of public names run, and each public function and class has one."""

import doctest
import importlib
import inspect

import jax
import pytest

ROOMS = (
    "seqjax", "seqjax.attention", "seqjax.batching", "seqjax.checkpoint", "seqjax.datasets", "seqjax.decode", "seqjax.diagnostics", "seqjax.initializers",
    "seqjax.interop", "seqjax.losses", "seqjax.metrics", "seqjax.nn", "seqjax.plot", "seqjax.seq2seq", "seqjax.tasks", "seqjax.testing", "seqjax.text", "seqjax.train",
)  # fmt: skip
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def public():
    """Each public function and class once, by the shortest name under which it is found."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")]):
            value = getattr(module, name)
            if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("seqjax"):
                found.setdefault(id(value), (f"{room}.{name}", value))
    return list(found.values())


def needs_example(value):
    """All but errors, and plain results (NamedTuples without methods of their own), which others make."""
    if not inspect.isclass(value) or issubclass(value, BaseException):
        return inspect.isfunction(value)
    return not hasattr(value, "_fields") or any(
        inspect.isfunction(f) or isinstance(f, classmethod) for n, f in vars(value).items() if n[:1] != "_"
    )


@pytest.mark.parametrize(("name", "value"), [pytest.param(*pair, id=pair[0]) for pair in public()])
def test_example(name, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write files
    finder = doctest.DocTestFinder(recurse=inspect.isclass(value), exclude_empty=True)
    examples = [test for test in finder.find(value, name) if test.examples]
    assert examples or not needs_example(value), f"{name} has no example"
    with jax.numpy_rank_promotion("allow"):
        for test in examples:
            said = []
            failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
            assert not failed, "".join(said)
