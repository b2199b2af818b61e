"""Where a number was measured."""

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import TypedDict

import jax


class Environment(TypedDict):
    """Versions, device and the commit of this code; no names of hosts or users."""

    date: str
    python: str
    jax: str
    device: str
    xla_flags: str
    commit: str
    changed: bool


def environment() -> Environment:
    """That of this process."""
    device = jax.devices()[0]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "device": f"{device.platform} ({device.device_kind}), {os.cpu_count()} cores",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain")),
    }


def where(*names: str) -> dict[str, str | bool]:
    """Some of it, as columns of a table: date, device and jax where no names are given."""
    return {name: value for name, value in environment().items() if name in (names or ("date", "device", "jax"))}  # type: ignore[misc]


def _git(*words: str) -> str:
    """What git says of the checkout of this code; nothing where there is no git."""
    try:
        done = subprocess.run(("git", *words), cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()
