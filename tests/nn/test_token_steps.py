"""One token at a time through layers that each have a cache of their own."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import seqjax as sj
from seqjax.interop import as_cell
from seqjax.nn import EncoderDecoder, TransformerDecoder
from tests.nn.extending import drawn, vectors

TOKENS = jax.random.randint(jax.random.key(0), (2, 5), 0, 11)
MEMORY = vectors(2, 4, 8)


def run_steps(module, carry, tokens):
    """A loop over single tokens: the carry, and logits with time first."""
    return lax.scan(lambda carry, token: module.extend(carry, token[:, None]), carry, tokens.T)


def test_a_loop_of_tokens_copies_no_cache():
    """Caches of all layers were one array, from which each layer was cut out: three and a half times this one's size."""
    module = drawn(TransformerDecoder, 11, 8, 2, 3, positions="rotary", capacity=50_000)
    carry = jax.eval_shape(lambda: module.initial_carry((2,)))
    loop = jax.jit(lambda carry, tokens: run_steps(module, carry, tokens), donate_argnums=0)
    memory = loop.lower(carry, jax.ShapeDtypeStruct((2, 30), jnp.int32)).compile().memory_analysis()
    cache = carry.layers[0].k.size * 4
    assert memory.temp_size_in_bytes < cache
    assert memory.alias_size_in_bytes >= 2 * 3 * cache


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("kind", [TransformerDecoder, EncoderDecoder])
def test_gradients_through_steps_are_those_of_the_sequence(x64, kind, remat):
    """Also to the memory, whose keys and values each layer holds."""
    model = drawn(kind, 11, 8, 2, 2, positions="rotary", capacity=5, remat=remat)

    def loss(model, memory, by_steps):
        given = {"memory": memory} if model.asks else {}
        carry = model.initial_carry((2,), dtype=jnp.float64, **given)
        logits = (
            run_steps(model, carry, TOKENS)[1][:, :, 0] if by_steps else model.extend(carry, TOKENS)[1].swapaxes(0, 1)
        )
        return jnp.sum(jnp.sin(logits))

    model, memory = jax.tree.map(lambda a: a.astype(jnp.float64), (model, MEMORY))
    grads = [jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)(model, memory, by_steps) for by_steps in (True, False)]
    chex.assert_trees_all_close(*grads, atol=1e-10)


def test_a_first_carry_can_be_given_away():
    """Keys and values of an empty cache were one array, which cannot be donated twice."""
    module = drawn(TransformerDecoder, 11, 8, 2, 2, positions="rotary", capacity=5)
    step = jax.jit(lambda carry, token: module.extend(carry, token), donate_argnums=0)
    carry, logits = step(module.initial_carry((2,)), TOKENS[:, :1])
    assert carry.count.tolist() == [1, 1] and bool(jnp.all(jnp.isfinite(logits)))


@pytest.mark.parametrize("remat", [False, True])
def test_what_a_token_taps_is_that_of_the_sequence(remat):
    """A traced token was run as a sequence, which stacked all caches; what is tapped has an axis of layers all the same."""
    cell = as_cell(TransformerDecoder, 11, 8, 2, 3, positions="rotary", capacity=5, remat=remat)
    params = cell.init(jax.random.key(0), 0)
    whole = sj.trace(cell, params, TOKENS)[2]
    carry, found = cell.initial_carry(params, (2,)), []
    for t in range(5):
        carry, _, seen = sj.trace(cell, params, TOKENS[:, t : t + 1], carry)
        found.append(seen)
    weights = [path for path in whole if path.endswith("weights")]
    assert weights and whole.keys() == found[0].keys()
    for path in weights:
        for t, seen in enumerate(found):
            np.testing.assert_allclose(seen[path][:, 0][..., :5], whole[path][:, t], atol=1e-6)
