"""Small models of every kind that can write, and the plain loop that they are compared with."""

import jax
import jax.numpy as jnp
import numpy as np

import seqjax as sj
from seqjax.interop import as_cell
from seqjax.nn import LLAMA, TransformerDecoder
from seqjax.seq2seq import Memory, attend

V = 7


def make_models():
    block = sj.cell_from_text("as_cell(TransformerBlock, 8, 2, capacity=64)")
    return {
        "rnn": sj.stack(sj.Embed(V, 6), sj.GRU(8), sj.Dense(V)),
        "transformer": as_cell(TransformerDecoder, V, 8, 2, 2, capacity=64, style=LLAMA, positions="rotary"),
        "hybrid": sj.stack(sj.Embed(V, 8), sj.LSTM(8), sj.residual(block), sj.Dense(V)),
        "attending": sj.stack(sj.Embed(V, 6), attend(sj.LSTM(8), memory_features=8), sj.Dense(V)),
    }


MODELS = make_models()
TRACES = []


class Counted(sj.Wrapper):
    """It counts how often its step is traced."""

    def step(self, params, carry, x):
        TRACES.append(jnp.shape(x))
        return self.cell.step(params, carry, x)


def start(name, batch, seed=0, dtype=jnp.float32):
    """A model with large parameters, so that its choices are its own, and a carry where it needs one."""
    cell = MODELS[name]
    params = jax.tree.map(lambda a: 3 * a, cell.init(jax.random.key(seed), 0, dtype))
    carry = None
    if cell.asks:
        memory = Memory(jax.random.normal(jax.random.key(seed + 1), (batch, 5, 8), dtype))
        carry = cell.initial_carry(params, (batch,), memory=memory)
    return cell, params, carry


def prompts(batch, size, seed=0):
    return np.random.default_rng(seed).integers(0, V, (batch, size))


def write_plainly(cell, params, prompt, steps, carry=None, choose=lambda logits, tokens: int(np.argmax(logits))):
    """Token by token for one row, by `cell.step` alone: tokens and their log-probabilities."""
    step = jax.jit(cell.step)
    carry = cell.initial_carry(params, (1,)) if carry is None else carry
    tokens, chosen = [int(token) for token in prompt], []
    for token in tokens:
        carry, logits = step(params, carry, jnp.array([token]))
    for _ in range(steps):
        token = choose(np.asarray(logits[0], np.float64), tokens)
        chosen.append(float(jax.nn.log_softmax(logits[0])[token]))
        tokens.append(token)
        carry, logits = step(params, carry, jnp.array([token]))
    return tokens[len(prompt) :], chosen
