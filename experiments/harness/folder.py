"""The folder of a run: its name, the files in it, and the lock that one process at a time holds."""

import contextlib
import dataclasses
import fcntl
import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, ClassVar, Protocol, runtime_checkable

import seqjax as sj
from experiments.harness import strict
from seqjax._internal.files import write_atomically

RUNS = Path("runs")


@runtime_checkable
class Options(Protocol):
    """A Config of an experiment: a frozen dataclass with a seed."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]

    @property
    def seed(self) -> int:
        """Of parameters and data."""
        ...


def values_of(name: str, config: Options) -> dict[str, strict.Value]:
    """What config.json holds."""
    found = strict.plain({"experiment": name, "seed": config.seed, "seqjax": sj.__version__})
    options = strict.plain(dataclasses.asdict(config))
    assert isinstance(found, dict)
    assert isinstance(options, dict)
    return found | options


def folder_of(name: str, config: Options, root: Path = RUNS) -> Path:
    """The folder of a config and seed."""
    return root / name / folder_name(values_of(name, config))


def folder_name(values: Mapping[str, strict.Value]) -> str:
    """`<hash>-s<seed>`: the hash is of all options but the seed."""
    options = {key: value for key, value in values.items() if key not in ("experiment", "seed")}
    return f"{hashlib.sha256(strict.dumps(options, sort_keys=True).encode()).hexdigest()[:8]}-s{values['seed']}"


def write_json(path: Path, value: object) -> None:
    """Write a file all at once."""
    text = strict.dumps(value, indent=1) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def lock(folder: Path) -> IO[str]:
    """A file that one process at a time holds; the system lets it go with the process, however that ends.

    Raises:
        ArgumentError: another process holds it.
    """
    file = (folder / ".lock").open("a")
    for wait in (0.1, 0.2, 0.7, 0.0):  # `list` looks at it for a moment
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            time.sleep(wait)
        except OSError:
            file.close()
            raise
    file.close()
    raise sj.ArgumentError(f"{folder}: another process is at work on this run")


def is_locked(folder: Path) -> bool:
    """Whether a process is at work in the folder."""
    path = folder / ".lock"
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Errors of the disk, said of a path.

    Raises:
        DataError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise sj.DataError(f"{path} cannot be written: {error.strerror}. Is there room?") from error
