"""What holds for every task of the table, also for one that has just been added to it."""

import ast
import inspect
import pickle
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import tasks
from seqjax.tasks import chaos
from tests.tasks.cases import READ, case, draw, size
from tests.test_style import ROOT

QUICK = {"adding", "parity", "modular_arithmetic", "associative_recall", "lorenz"}  # one of each make
EVERY = pytest.mark.parametrize("name", tasks.ALL)


class EarlyMackeyGlass(tasks.MackeyGlass):
    """From its random state on, before chaos has enlarged what another order of rounding leaves."""

    burn_in, start_range = 0, 1


class EarlyLorenz(tasks.Lorenz):
    """Likewise."""

    burn_in, start_range = 0, 1


EARLY = {"mackey_glass": EarlyMackeyGlass(), "lorenz": EarlyLorenz()}


def test_the_table_is_what_the_package_offers():
    assert set(READ) == set(tasks.ALL), "each task needs a reading in tests/tasks/cases.py"
    assert set(tasks.ALL) <= set(tasks.__all__)
    for name, task in tasks.ALL.items():
        assert task is getattr(tasks, name) is tasks.find(name)
        assert getattr(tasks, type(task).__name__) is type(task) and type(task).__name__ in tasks.__all__


def mentions(path):
    """The names that a file's code (not its docstrings) uses or imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        yield from (getattr(node, key) for key in ("id", "attr", "name") if isinstance(getattr(node, key, None), str))


def test_a_task_is_in_two_files():
    """Its own and the table: whoever adds one has nothing else to edit."""
    files = {path: set(mentions(path)) for path in (ROOT / "seqjax").rglob("*.py")}
    for task in tasks.ALL.values():
        own = Path(inspect.getfile(type(task)))
        assert {path for path in files if type(task).__name__ in files[path]} == {own, own.parent / "__init__.py"}


@EVERY
def test_the_class_has_a_description_and_an_example_of_its_own(name):
    """That the example runs is tested with those of all public names."""
    words = inspect.cleandoc(vars(type(tasks.ALL[name]))["__doc__"])
    assert tasks.ALL[name].about == words.splitlines()[0] and len(tasks.ALL[name].about) > 20
    assert "\nExample: " in words and ".as_text(" in words


@EVERY
def test_text_shows_the_inputs_and_the_targets_that_count(name):
    task, length = case(name).task, case(name).length
    batch = task.sample(jax.random.key(3), 1, length)
    lines = [line.split() for line in task.as_text(length, seed=3).split("\n")]
    n, tokens = int(batch.lengths[0]), bool(task.vocabulary)
    assert lines[0][0] == "input" and lines[-1][0] == "target"
    of_targets = task.out_features if isinstance(task, tasks.Regression) else 1
    assert len(lines) == (1 if tokens else task.in_features) + of_targets
    assert [word != "." for word in lines[-1][-n:]] == batch.weights[0, :n].tolist()
    if tokens:
        assert lines[0][1:] == [str(token) for token in batch.inputs[0, :n].tolist()]


@pytest.mark.parametrize("name", READ)
def test_targets_follow_from_the_inputs_at_every_length(name):
    task, length, answers = READ[name].task, READ[name].length, READ[name].answers
    batch = draw(name, 0, True)
    asked = np.resize(np.arange(task.min_length, length + 1), size(name))
    np.testing.assert_array_equal(batch.lengths, READ[name].rounded(asked))
    for x, y, mask, n in list(zip(*batch))[:150]:
        answer = answers(x[:n], mask) if name == "associative_recall" else answers(x[:n])
        if isinstance(task, chaos.Series):  # the last target lies beyond the inputs
            answer[n - 1] = y[n - 1]
        assert sorted(answer) == np.flatnonzero(mask).tolist()
        np.testing.assert_allclose(y[sorted(answer)], [answer[t] for t in sorted(answer)], rtol=1e-6)
        assert not y[~mask].any() and not x[n:].any()


@EVERY
def test_shapes_dtypes_and_ranges(name):
    task, length = case(name).task, case(name).length
    inputs, targets, mask, lengths = draw(name, 0, False)
    b = size(name)
    shape = (b, length)
    if task.vocabulary:
        assert task.in_features == 0 and inputs.shape == shape and inputs.dtype == np.int32
        assert inputs.min() >= 0 and inputs.max() == task.vocabulary - 1
    else:
        assert inputs.shape == (*shape, task.in_features) and inputs.dtype == np.float32
    if isinstance(task, tasks.Regression):
        assert targets.shape == (*shape, task.out_features) and targets.dtype == np.float32
    else:
        assert targets.shape == shape and targets.dtype == np.int32
        assert targets.min() >= 0 and targets.max() == task.out_features - 1
    assert mask.shape == shape and mask.dtype == bool and mask.any(axis=1).all()
    assert lengths.shape == (b,) and lengths.dtype == np.int32


@EVERY
def test_same_key_same_batch_other_key_other_batch(name):
    task, length = case(name).task, case(name).length
    again = task.sample(jax.random.key(0), size(name), length)
    chex.assert_trees_all_equal(draw(name, 0, False), jax.tree.map(np.asarray, again))
    first, other = draw(name, 0, False).inputs, draw(name, 1, False).inputs
    changed = (first != other).reshape(len(first), -1).any(axis=1)
    assert changed.mean() > 0.9
    assert (first[0] != first[1]).any() or (first[0] != first[2]).any()  # the sequences of a batch differ


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in tasks.ALL]
)
def test_transformed_is_as_eager(name):
    """jit, vmap over keys and traced lengths, in 64-bit mode, against the plain call in 32-bit mode."""
    task, length = case(name).task, case(name).length
    lengths = np.resize(np.arange(task.min_length, length + 1), size(name))
    batch = draw(name, 0, True)
    if name in EARLY:
        task = EARLY[name]
        batch = task.sample(jax.random.key(0), size(name), length, lengths)
    with jax.enable_x64(True):
        keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
        many = jax.jit(jax.vmap(lambda key, n: task.sample(key, size(name), length, n), (0, None)))(keys, lengths)
    tolerance = 2e-5 if isinstance(task, tasks.Regression) else 0
    first = jax.tree.map(lambda leaf: leaf[0], many)
    chex.assert_trees_all_equal_dtypes(first, batch)
    chex.assert_trees_all_close(first, batch, rtol=tolerance, atol=tolerance)
    assert (np.asarray(many.inputs[0]) != np.asarray(many.inputs[1])).any()


@EVERY
def test_a_task_is_its_configuration(name):
    task = case(name).task
    assert eval(repr(task), vars(tasks)) == task
    assert pickle.loads(pickle.dumps(task)) == task and hash(pickle.loads(pickle.dumps(task))) == hash(task)
    assert task.name == name
    assert task.higher_is_better == (task.score_name == "accuracy")


@EVERY
def test_the_baseline_of_a_long_sequence_is_finite(name):
    assert np.isfinite(tasks.ALL[name].baseline(500))
