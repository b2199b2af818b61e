"""One to one: which digit does a picture show, seen whole? A perceptron reads it at once, a transformer in patches.

Expectation: 98 % and more of MNIST's test pictures are right (Simard et al. 2003: 98.4 % with one hidden layer of 800
units and cross-entropy); the nearest of the ten mean pictures is right for about 82 %.
A picture of one's own is cut to its ink and centred, as MNIST's were; dark ink on a bright ground is turned round.

    python -m experiments.applications.digits --seeds 0 1 2
    python -m experiments.applications.digits --model runs/digits/RUN/units/UNIT/model --apply picture.png
"""

import functools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import seqjax as sj
from experiments.applications.apply import application
from experiments.applications.pictures import centred, read_picture
from experiments.applications.training import POSITIVE, Sources, Training, fit_and_save
from experiments.harness.command import check_options
from experiments.harness.compare import conclude
from experiments.harness.run import Rows, Run
from seqjax import batching, datasets, train
from seqjax._internal.types import Float, Num
from seqjax.checkpoint import Model
from seqjax.interop import as_cell
from seqjax.nn import TransformerEncoder
from seqjax.nn.vision import cut_patches

NETWORKS = ("perceptron", "transformer")


@dataclass(frozen=True)
class Config(Training):
    """Options of the experiment."""

    network: tuple[str, ...] = NETWORKS
    """perceptron (the picture as one vector) or transformer (as 16 patches)"""
    width: int = 128
    """Hidden units of the perceptron; twice the features of the transformer"""
    batch_size: int = 128
    """Pictures in a batch"""
    epochs: int = 3
    """Passes through the training pictures"""


def main(config: Config) -> dict[str, Any]:
    """Train each network; the test accuracy is that of the pass with the best validation.

    Raises:
        ArgumentError: an option out of range, or an unknown network.
    """
    check_options(config, "width", *POSITIVE)
    if unknown := [name for name in config.network if name not in NETWORKS]:
        raise sj.ArgumentError(f"network must be of {', '.join(NETWORKS)}, found {unknown[0]!r}")
    data = datasets.load("mnist")
    some = data.train[: config.examples or None]
    parts = [*some.hold_out(len(some) // 12), data.test[: config.examples or None]]
    run = Run("digits", config, by=("network",))
    rows = run.work({name: functools.partial(study, config, name, parts) for name in config.network})
    return conclude(run, rows, "accuracy")


def study(config: Config, name: str, parts: list[datasets.Split], folder: Path) -> Rows:
    """One training."""
    side = parts[0].inputs.shape[1]
    patch = side if name == "perceptron" else max(side // 4, 1)
    sources = Sources(
        *(
            batching.Shuffled(patches(part.inputs, patch), part.targets, config.batch_size, config.seed)
            for part in parts
        )
    )
    model = build(name, config.width, (side // patch) ** 2)
    assets = {"side": side, "patch": patch}
    _, found = fit_and_save(
        folder, model, sources, config, application="digits", assets=assets, at="last", in_features=patch * patch
    )
    return [{"network": name, "baseline_accuracy": nearest_mean(parts[0], parts[2])} | found]


def build(name: str, width: int, count: int) -> sj.Cell:
    """A model of so many patches; in the transformer each sees all others, and the last one answers."""
    if name == "perceptron":
        return sj.stack(sj.Dense(width, activation="relu"), sj.Dropout(0.2), sj.Dense(10))
    encoder = as_cell(TransformerEncoder, None, width // 2, 4, 2, capacity=count, dropout=0.1)
    return sj.stack(sj.Dense(width // 2), encoder, sj.Dense(10))


def patches(pictures: Num[np.ndarray, "n H W"], patch: int) -> Float[np.ndarray, "n T P"]:
    """The patches of pictures, row by row, bytes scaled to [0, 1]."""
    return np.asarray(cut_patches(pictures[..., None], patch)).astype(np.float32) / np.float32(255)


def nearest_mean(seen: datasets.Split, new: datasets.Split) -> float:
    """The share of new pictures that are nearest to the mean picture of their class."""
    means = np.stack([seen.inputs[seen.targets == digit].mean(0).ravel() for digit in range(10)])
    flat = new.inputs.reshape(len(new), -1).astype(np.float64)
    distances = (means**2).sum(1) - 2 * flat @ means.T
    return float((distances.argmin(1) == new.targets).mean())


def apply(model: Model, path: str) -> str:
    """The digit in a picture, and how sure the model is."""
    picture = centred(read_picture(path, "L"), model.assets["side"])
    logits = train.predict(model.cell, model.params, patches(picture[None], model.assets["patch"]))[0]
    shares = np.asarray(jax.nn.softmax(logits))
    first, second = np.argsort(-shares)[:2]
    return f"{path}: {first} ({shares[first]:.1%}; then {second}, {shares[second]:.1%})"


if __name__ == "__main__":
    application(main, Config, __doc__, apply, sys.argv[1:])
