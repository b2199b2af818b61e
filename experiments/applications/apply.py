"""The command line of an application: training as any experiment, or a trained model applied to something new."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.harness import records
from experiments.harness.command import command
from experiments.harness.folder import RUNS
from seqjax import train
from seqjax.errors import ArgumentError, SeqjaxError

if TYPE_CHECKING:
    from seqjax.checkpoint import Model

MODEL = "model"
"""The folder of the model in that of its training."""

Apply = Callable[["Model", str], str]
"""What a model says to a text, or to the picture in a file."""


def application(main: Callable[[Any], Any], options: type, description: str, apply: Apply, words: list[str]) -> None:
    """`command`; or with `--model RUN --apply GIVEN ...`, what the model says to each.

    Args:
        main, options, description: as of `command`.
        apply: see `Apply`.
        words: of the command line.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--model")
    parser.add_argument("--apply", nargs="+")
    given, rest = parser.parse_known_args(words)
    if given.model is None and given.apply is None:
        return command(main, options, description)
    if rest or not given.model or not given.apply:
        sys.exit(
            "write --model RUN --apply GIVEN, where RUN is as `python -m experiments list` prints it; no more options"
        )
    try:
        model = find_model(given.model, Path(sys.modules[main.__module__].__file__ or "").stem)
        for each in given.apply:
            print(apply(model, each))
    except SeqjaxError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def find_model(name: str, of: str, root: Path = RUNS) -> "Model":
    """The model of a run, named as `list` prints it, or in a folder.

    Args:
        name: such as `digits/1a2b3c4d-s0`, or a folder of `train.save_model`.
        of: the application that is to have made it.
        root: folder of all runs.

    Raises:
        ArgumentError: no such run, or one with several models or none yet; a model of another application.
        DataError: it cannot be read.
    """
    is_run = (Path(name) / "config.json").exists() or not Path(name).is_dir()
    folder = _in_run(name, root) if is_run else Path(name)
    model = train.load(folder)
    if (found := model.meta.get("application")) != of:
        raise ArgumentError(f"{folder} is a model of {found or 'something else'}, expected one of {of}")
    return model


def _in_run(name: str, root: Path) -> Path:
    found, _ = records.find([name], root)
    folders = [path for record in found for path in sorted(record.folder.glob(f"units/*/{MODEL}"))]
    if not folders:
        raise ArgumentError(f"{name} has no model yet: it is {found[0].status}")
    if len(folders) > 1:
        raise ArgumentError(f"{name} has {len(folders)} models; choose one: {', '.join(map(str, folders))}")
    return folders[0]


def check_given(text: str) -> str:
    """A text with something in it.

    Raises:
        ArgumentError: it is empty.
    """
    if not text.strip():
        raise ArgumentError("--apply: the text is empty")
    return text
