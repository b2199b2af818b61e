"""Small models from tokens to tokens, and the loops of plain Python that they are held against."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from seqjax import GRU, Dense, Embed, cell_from_text, stack
from tests.attending_cells import AttendingLSTM

V = 7
KEY = jax.random.key(3)
RNG = np.random.default_rng(0)
LANGUAGE = stack(Embed(V, 5), GRU(6), Dense(V))
ATTENDING = stack(Embed(V, 5), AttendingLSTM(3), Dense(V))
TRANSFORMER = cell_from_text(f"as_cell(TransformerDecoder, {V}, 8, 2, 1, capacity=16)")
HYBRID = cell_from_text(f"stack(Embed({V}, 8), GRU(8), as_cell(TransformerBlock, 8, 2, capacity=16), Dense({V}))")
MODELS = {"language": LANGUAGE, "attending": ATTENDING, "transformer": TRANSFORMER, "hybrid": HYBRID}


@functools.cache
def params_of(cell, scale=3.0):
    """Larger than they begin, so that the model says many things."""
    return jax.tree.map(lambda a: scale * a, cell.init(jax.random.key(1), 0))


def start_of(cell, params, batch):
    """The carry to give to `unroll`: None where the cell asks for nothing."""
    if not cell.asks:
        return None
    memory = jax.random.normal(jax.random.key(2), (batch, 4, 3), jax.tree.leaves(params)[0].dtype)
    return cell.initial_carry(params, (batch,), memory=memory)


def by_hand(cell, params, inputs, own, carry=None, real=None):
    """Logits and the tokens that were read, row by row and step by step, in plain Python."""
    logits, fed, step = [], [], jax.jit(cell.step)
    for b in range(inputs.shape[0]):
        state = cell.initial_carry(params, (1,)) if carry is None else jax.tree.map(lambda a, b=b: a[b : b + 1], carry)
        said, row, read = None, [], []
        for t in range(inputs.shape[1]):
            token = said if own[b, t] else int(inputs[b, t])
            if real is not None and not real[b, t]:
                row.append(np.zeros(V))
                read.append(0)
                continue
            state, y = step(params, state, jnp.array([token]))
            said = int(y[0].argmax())
            row.append(np.asarray(y[0]))
            read.append(token)
        logits.append(row)
        fed.append(read)
    return np.array(logits), np.array(fed)
