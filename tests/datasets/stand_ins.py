"""Commands that stand in for package managers."""

import hashlib
import sys

from seqjax.datasets.fetch.origins import Original, obtain

CONTENT = b"the original" * 100


SHA = hashlib.sha256(CONTENT).hexdigest()
PIP = "target = Path(sys.argv[sys.argv.index('--dest') + 1])\n"


def stand_in(folder, name, body):
    """A program called `name` that is found first."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"#!{sys.executable}\nimport os, sys, time\nfrom pathlib import Path\ncontent = b'the original' * 100\n{body}\n"
    )
    path.chmod(0o755)
    return path


def get(origin, filename="x-1.0.whl", progress=False, sha256=SHA):
    return obtain(Original(filename, sha256, len(CONTENT), origin), progress)
