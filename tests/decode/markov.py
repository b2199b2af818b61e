"""Cells whose next-token probabilities are a table, so that answers are known."""

import jax.numpy as jnp
import numpy as np

from seqjax import Cell

TRANSITIONS = np.array(
    [
        [0.0, 0.4, 0.3, 0.2, 0.1, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        [0.2, 0.1, 0.2, 0.2, 0.2, 0.3],
    ]
)
"""The probability of token j after token i, of AllenNLP's tests of beam search: 0 begins, 5 ends."""

SHORT = np.array(
    [
        [0.0, 0.1, 0.0, 0.0, 0.0, 0.9],
        [0.0, 0.0, 0.1, 0.0, 0.0, 0.9],
        [0.0, 0.0, 0.0, 0.1, 0.0, 0.9],
        [0.0, 0.0, 0.0, 0.0, 0.1, 0.9],
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        [0.2, 0.1, 0.2, 0.2, 0.2, 0.3],
    ]
)
"""The same, in favour of short sequences."""


class Markov(Cell):
    """The logits of a token are the logarithms of the row of a table `[V, V]` for the token before."""

    vocabulary: int
    feature_axes = 0

    @property
    def out_features(self):
        return self.vocabulary

    def init(self, key, in_features, dtype=jnp.float32):
        return {"table": jnp.zeros((self.vocabulary, self.vocabulary), dtype)}

    def initial_carry(self, params, batch_shape=()):
        return ()

    def step(self, params, carry, x):
        return carry, params["table"][x]


def markov(table):
    """The cell of a table of probabilities, and its parameters."""
    with np.errstate(divide="ignore"):
        return Markov(len(table)), {"table": jnp.log(jnp.asarray(table))}
