"""Several seeds of one model, trained as one program on the same batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

import seqjax as sj
from seqjax import train
from seqjax._internal.types import Array, Key, PyTree
from seqjax.batching.source import Batches

POSITIVE = ("steps", "batch_size", "learning_rate", "clip", "members")


@dataclass(frozen=True)
class Members:
    """Options of such a training."""

    steps: int = 4000
    """Updates"""
    batch_size: int = 32
    """Sequences in a batch, fresh ones each time"""
    learning_rate: float = 3e-3
    """Of Adam"""
    clip: float = 1.0
    """Norm to which longer gradients are shortened"""
    members: int = 3
    """Seeds that are trained as one program: seed, seed + 1 ..."""
    seed: int = 0
    """Of the first member's parameters, and of all sequences"""

    @property
    def seeds(self) -> range:
        """Of the members."""
        return range(self.seed, self.seed + self.members)


def fit_members(
    model: sj.Cell,
    loss: Callable[..., object],
    source: Batches,
    config: Members,
    rows: int,
    in_features: int = 0,
    starts: Sequence[PyTree] = (),
) -> train.Sweep:
    """Train all members of a model that reads tokens, or vectors of so many features; the history has so many rows.

    With `starts`, parameters to begin with, these are the members. A member that diverges goes on to its end, as that
    is a finding.
    """

    def init(key: Key[Array, ""]) -> PyTree:
        if starts:
            return starts[int(jax.random.key_data(key)[-1])]  # the number that the key was made of
        return model.init(jnp.asarray(key), in_features)

    return train.sweep(
        lambda rate: train.make_train_step(loss, optax.adam(rate), clip=config.clip, max_skips=config.steps + 1),
        init,
        source,
        seeds=range(len(starts)) if starts else config.seeds,
        learning_rates=(config.learning_rate,),
        steps=config.steps,
        every=max(1, config.steps // rows),
    )


def params_of(found: train.Sweep, member: int) -> PyTree:
    """The parameters of one member."""
    return jax.tree.map(lambda leaf: leaf[member, 0], found.state.params)
