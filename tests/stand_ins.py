"""Made-up data in the form of real sets, for examples that must run without a network."""

from types import SimpleNamespace

import numpy as np

from seqjax import Ragged
from seqjax.datasets import Entry, Split, catalogue

SENTENCES = ("oil prices rose sharply", "the bank cut its rate", "shares of the company fell", "grain ships at sea")


def made_up(name):
    """A data set that has the splits, shapes and names of the real one that is called `name`; one of one's own as it is."""
    if isinstance(name, Entry):
        return catalogue.load(name)
    made = {"reuters_r8": _texts, "etth1": _series, "shakespeare": _plays, "digits": _digits, "multi30k_en_de": _pairs}
    return made[name]()


def _data(splits, **names):
    return SimpleNamespace(splits=splits, **splits, **names)


def _texts():
    rng = np.random.default_rng(0)
    words = [" ".join(rng.permutation(" ".join(SENTENCES).split())[:8]) for _ in range(40)]
    split = Split(Ragged.of(words), np.arange(40, dtype=np.int32) % 8)
    names = ("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade")
    return _data({"train": split, "test": split[:20]}, target_names=names)


def _series():
    steps = np.arange(400)[:, None]
    values = np.sin(steps / np.arange(3, 10)).astype(np.float32)
    parts = {name: Split(Ragged.of([values])) for name in ("train", "valid", "test")}
    return _data(parts, input_names=("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"))


def _plays():
    text = "To be, or not to be, that is the question.\n" * 60
    return _data({name: Split(Ragged.of([text])) for name in ("train", "valid", "test")})


def _digits():
    images = np.random.default_rng(0).random((64, 8, 8)).astype(np.float32)
    split = Split(images, np.arange(64, dtype=np.int32) % 10)
    return _data({"train": split, "valid": split, "test": split})


def _pairs():
    split = Split(*(Ragged.of([text] * 8) for text in ("Two dogs run.", "Zwei Hunde rennen.")))
    return _data({"train": split, "valid": split, "test": split})
