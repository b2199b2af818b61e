"""Where the experiments are: a file with a `Config` in `experiments/`, or in `experiments/applications/`."""

import importlib
from pathlib import Path
from types import ModuleType

from seqjax.errors import ArgumentError

HERE = Path(__file__).parent.parent


def list_experiments() -> dict[str, Path]:
    """The file of each experiment, by name."""
    paths = [*sorted(HERE.glob("*.py")), *sorted(HERE.glob("applications/*.py"))]
    return {path.stem: path for path in paths if "\nclass Config" in path.read_text()}


def import_experiment(name: str) -> ModuleType:
    """The module of an experiment.

    Raises:
        ArgumentError: there is none of this name.
    """
    path = list_experiments().get(name)
    if path is None:
        raise ArgumentError(f"there is no experiment {name!r} any more")
    return importlib.import_module(".".join(("experiments", *path.relative_to(HERE).with_suffix("").parts)))
