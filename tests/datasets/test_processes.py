"""Several processes at once, and killed ones."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from seqjax import datasets
from tests.datasets.tiny import GOOD, kept, texts


def child(tmp_path, body, **environment):
    script = (
        "import os, signal, sys, time\nfrom tests.datasets import tiny as t\nfrom seqjax import datasets\n"
        "from seqjax.datasets import catalogue\nfrom seqjax.datasets.fetch import store\n"
        "catalogue.CATALOGUE['tiny'] = t.entry()\n" + body
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent), **environment}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once(tiny):
    body = (
        "open(os.environ['SEQJAX_DATA'] + f'/{os.getpid()}.here', 'w').close()\n"
        "while len([n for n in os.listdir(os.environ['SEQJAX_DATA']) if n.endswith('.here')]) < 2: time.sleep(0.001)\n"
        "for _ in range(50):\n"
        "    path = store.cache_folder() / t.entry().filename\n"
        "    path.unlink(missing_ok=True)\n"
        "    catalogue._make(t.entry(), False)\n"
        "assert t.texts(datasets.load('tiny')) == t.GOOD\nprint('good')\n"
    )
    both = [child(tiny, body) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [words.split()[-1:] for words in said] == [["good"], ["good"]]
    assert [path.name for path in (tiny / "cache").iterdir()] == [kept(tiny).name]


def test_killed_while_writing(tiny):
    body = (
        "def half(file, **arrays):\n    file.write(b'PK half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.np.savez_compressed = half\ndatasets.load('tiny')\n"
    )
    process = child(tiny, body)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert [path.suffix for path in (tiny / "cache").iterdir()] == [".part"] and not kept(tiny).exists()
    assert texts(datasets.load("tiny")) == GOOD
