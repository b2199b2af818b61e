"""The processes of the frameworks, seen from the one that asks them."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.benchmarks.peers.frameworks import OURS

ROOT = Path(__file__).resolve().parents[3]


class Failed(Exception):
    """A framework is not installed, or its process ended."""


class Process:
    """A framework in a process of its own, on the given cores."""

    def __init__(self, framework: str, python: str, cores: list[int]) -> None:
        self.framework = framework
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by close
        command = [python, "-m", f"{__package__}.worker", framework, *map(str, cores)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=ROOT,
            env=environment(len(cores)),
        )  # fmt: skip

    def ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """The answer of the process.

        Raises:
            Failed: it ended; the message is the last line that it wrote.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            print(json.dumps({"operation": operation} | arguments), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.errors.seek(0)
            words = self.errors.read().strip().splitlines()
            raise Failed(words[-1] if words else f"it ended with {self.process.returncode}")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def environment(cores: int) -> dict[str, str]:
    """That of a process: JAX on the CPU, as many threads as cores, this checkout first."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {
        "JAX_PLATFORMS": "cpu",
        "JAX_TRACEBACK_FILTERING": "off",
        "OMP_NUM_THREADS": str(cores),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    return os.environ | own


@contextlib.contextmanager
def started(
    names: list[str], python: dict[str, str], cores: list[int]
) -> Iterator[tuple[dict[str, Process], dict[str, Any]]]:
    """The processes that could be started, with their versions; of the others it is said why not."""
    found, versions = {}, {}
    for name in names:
        process = Process(name, python[name], cores)
        try:
            versions[name] = process.ask("version")
            found[name] = process
        except Failed as error:
            process.close()
            print(f"{name} is left out: {error}", flush=True)
    try:
        yield found, versions
    finally:
        for process in found.values():
            process.close()


def first_of(names: dict[str, Any]) -> str:
    """The framework that the others are compared with: ours, where it takes part."""
    return next((name for name in OURS if name in names), next(iter(names)))
