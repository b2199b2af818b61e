"""What all applications share: a classifier of sequences or steps, trained, tested and saved with its vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import seqjax as sj
from experiments.applications.apply import MODEL
from experiments.harness.run import Row
from experiments.harness.training import fit_unit, init_params
from seqjax import Ragged, losses, train
from seqjax._internal.types import Array, Int, PyTree
from seqjax.batching.source import Batches


@dataclass(frozen=True)
class Training:
    """Options of all applications."""

    batch_size: int = 32
    """Examples in a batch"""
    epochs: int = 5
    """Passes through the training examples"""
    learning_rate: float = 3e-3
    """Of Adam, at the start; it falls to a hundredth along a cosine"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    examples: int = 0
    """Read only so many of each split; 0 takes all"""
    seed: int = 0
    """Of parameters and order"""


POSITIVE = ("batch_size", "epochs", "learning_rate", "clip")
"""Those of them that must be above 0."""


class Sources(NamedTuple):
    """Batches of each part."""

    train: Any
    valid: Batches
    test: Batches


def fit_and_save(
    folder: Path,
    model: sj.Cell,
    sources: Sources,
    config: Training,
    *,
    application: str,
    assets: Mapping[str, Any],
    at: str = "each",
    in_features: int = 0,
) -> tuple[PyTree, Row]:
    """Train by cross-entropy and save the model of the pass with the best validation; its parameters, and a row.

    Args:
        folder: of the training.
        model: gives logits.
        sources: what it reads.
        config: options.
        application: kept with the model, so that another one does not take it for its own.
        assets: what new texts and pictures are read with, and answers written with.
        at, in_features: as of `make_loss` and of `init`.
    """
    named = {"accuracy": losses.accuracy}
    score = train.make_loss(model.evaluation(), losses.cross_entropy, at=at, metrics=named)
    epoch = sources.train.steps_per_epoch
    steps = config.epochs * epoch
    step = train.make_train_step(
        train.make_loss(model, losses.cross_entropy, at=at),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, steps, 0.01)),
        clip=config.clip,
        max_skips=steps + 1,
    )
    evaluation = train.Evaluation(
        lambda params: train.evaluate(score, params, sources.valid),
        every=epoch,
        metric="accuracy",
        higher_is_better=True,
    )
    state = step.init(init_params(model, in_features, config.seed), jax.random.key(config.seed))
    result, columns = fit_unit(
        folder,
        model,
        step,
        state,
        sources.train,
        steps=steps,
        in_features=in_features,
        every=min(epoch, 100),
        evaluation=evaluation,
        assets=assets,
    )
    meta = {"application": application}
    train.save_model(folder / MODEL, model, result.params, in_features=in_features, assets=assets, meta=meta)
    return result.params, {"accuracy": train.evaluate(score, result.params, sources.test)["accuracy"]} | columns


def most_frequent(inputs: Int[Array, " n"], targets: Int[Array, " n"], size: int) -> Int[np.ndarray, " V"]:
    """The most frequent target of each input 0 ... size - 1; of all, where an input does not occur."""
    first = np.full(size, np.bincount(targets).argmax())
    found, counts = np.unique(np.stack([inputs, targets]), axis=1, return_counts=True)
    order = np.argsort(counts, kind="stable")
    first[found[0, order]] = found[1, order]  # the last one stays
    return first


def follower_share(seen: Ragged, new: Ragged, size: int) -> float:
    """The share of steps of new sequences that are what followed most often, in those seen, on the step before."""
    pairs = []
    for part in (seen, new):
        follows = np.ones(len(part.values) + 1, bool)
        follows[part.offsets] = False  # the first of each, and one past the end
        pairs.append((part.values[follows[1:]], part.values[follows[:-1]]))
    return float((most_frequent(*pairs[0], size)[pairs[1][0]] == pairs[1][1]).mean())
