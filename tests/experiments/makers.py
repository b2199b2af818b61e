"""What several tests of experiments are made with: small configs, runs and data."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("optax", reason="optax is not installed (extra: train)")
pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra: plot)")
pytest.importorskip("tqdm", reason="tqdm is not installed (extra: experiments)")

from experiments.gradient_norms import Config
from experiments.harness import records
from seqjax import Ragged
from seqjax.datasets import Split
from tests.test_style import ROOT

RNG = np.random.default_rng(0)

WORDS = "the quick brown fox jumps over the lazy dog and runs away. "

TINY = {"cell": ("GRU(3)",), "length": 6, "steps": 4, "batch_size": 4, "every": 2, "evaluation": 10}


@dataclasses.dataclass(frozen=True)
class Options:
    width: int = 3
    seed: int = 0


def runs_in(folder):
    found, damaged = records.every(folder / "runs")
    assert not damaged
    return found


def raising(error):
    def job(folder):
        raise error

    return job


def script(here, *words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def tiny(text, **changes):
    options = {
        "cell": ("RNN(3)", "LSTM(3)"),
        "lengths": (2, 5),
        "data": text,
        "batch_size": 4,
        "train_steps": 2,
        "train_length": 6,
        "layered": "",
    }
    return Config(**(options | changes))


def rolls(name):
    def part(count):
        return Split(Ragged.of([RNG.integers(0, 2, (t, 88), np.uint8) for t in range(3, 3 + count)]))

    return {"train": part(9), "valid": part(3), "test": part(3)}


def pictures(name):
    size = 4 if name == "digits" else 5
    count = {"train": 40, "valid": 8, "test": 9}
    return {
        key: Split(RNG.integers(0, 256, (n, size, size), np.uint8), RNG.integers(0, 10, n)) for key, n in count.items()
    }


def letters(name):
    text = np.frombuffer(b"to be or not to be, that is the question. " * 12, np.uint8)
    return {key: Split(Ragged.of([text])) for key in ("train", "valid", "test")}


def sentences(name):
    pairs = [("A man stands.", "Ein Mann steht."), ("A dog runs fast.", "Ein Hund rennt schnell.")]
    part = lambda n: Split(*(Ragged.of(list(side) * n) for side in zip(*pairs)))
    return {"train": part(4), "valid": part(1), "test": part(2)}


MADE = {
    "jsb_chorales": rolls,
    "nottingham": rolls,
    "digits": pictures,
    "shakespeare": letters,
    "multi30k_en_de": sentences,
}
