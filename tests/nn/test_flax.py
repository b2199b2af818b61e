"""Good JAX and good Flax: plain transformations, optax, orbax, a user's own model, both modes of NNX."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx

from seqjax.nn import EncoderDecoder, TransformerBlock, TransformerDecoder, VisionTransformer
from seqjax.nn.shared import Shared
from tests.nn.extending import call, drawn, vectors

TOKENS = jax.random.randint(jax.random.key(0), (2, 6), 0, 11)


@functools.cache
def decoder(seed=0, **options):
    make = lambda key: TransformerDecoder(11, 8, 2, 2, capacity=8, rngs=nnx.Rngs(key), **options)
    return jax.jit(make)(jax.random.key(seed))


def loss(model, tokens=TOKENS):
    logits = model(tokens[:, :-1])
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]))


gradient_of_loss = jax.jit(jax.grad(loss))


def largest_difference(a, b):
    return max(float(jnp.max(jnp.abs(x - y))) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


def test_modules_are_pytrees_of_parameters_alone():
    model = decoder(dropout=0.1)
    assert all(
        isinstance(leaf, nnx.Param) for leaf in jax.tree.leaves(model, is_leaf=lambda x: isinstance(x, nnx.Param))
    )
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(model))
    assert jax.tree.structure(model) == jax.tree.structure(decoder(seed=1, dropout=0.1))
    assert jax.tree.structure(model) != jax.tree.structure(decoder(dropout=0.2))


def test_jit_twice_gives_the_same_and_compiles_once():
    model = decoder()
    run = jax.jit(lambda model, tokens: model(tokens))
    first = run(model, TOKENS)
    np.testing.assert_array_equal(first, run(model, TOKENS))
    np.testing.assert_array_equal(first, run(nnx.clone(model), TOKENS))
    assert run._cache_size() == 1
    np.testing.assert_array_equal(first, nnx.jit(lambda model, tokens: model(tokens))(model, TOKENS))


def test_vmap_over_models_and_scan_with_a_model_as_carry():
    models = jax.vmap(lambda key: TransformerBlock(4, 2, rngs=nnx.Rngs(key)))(jax.random.split(jax.random.key(0), 3))
    x = vectors(1, 5, 4)
    ys = jax.jit(jax.vmap(lambda block: block(x)))(models)
    np.testing.assert_allclose(ys[1], call(jax.tree.map(lambda a: a[1], models), x), atol=1e-5)

    def update(model, _):
        value, gradient = jax.value_and_grad(loss)(model)
        return jax.tree.map(lambda p, g: p - 0.1 * g, model, gradient), value

    _, values = jax.jit(lambda model: jax.lax.scan(update, model, length=5))(decoder())
    assert values[-1] < values[0]


def test_remat_gives_equal_gradients():
    plain, again = gradient_of_loss(decoder()), gradient_of_loss(decoder(remat=True))
    assert largest_difference(plain, again) < 1e-6


def test_tied_embeddings_are_one_leaf_with_both_gradients():
    """The gradient of the table is that through the input plus that through the logits."""
    model = decoder()
    assert sum(leaf.shape == (11, 8) for leaf in jax.tree.leaves(model)) == 1

    def parted(inner, outer):
        def with_table(table):
            copy = nnx.clone(model)
            copy.embedding.tokens = nnx.Param(table)
            return copy

        x = with_table(inner).embedding(TOKENS[:, :-1], None, None)
        x = model.trunk.run(None, None, x, Shared(), None)[1]
        logits = with_table(outer).embedding.logits(x, False)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, TOKENS[:, 1:]))

    table = model.embedding.tokens[...]
    through = jax.jit(jax.grad(parted, argnums=(0, 1)))(table, table)
    found = gradient_of_loss(model).embedding.tokens[...]
    np.testing.assert_allclose(found, sum(through), atol=1e-6)


def test_optax_on_the_module_and_orbax_on_its_state(tmp_path):
    model, optimiser = decoder(), optax.adam(3e-2)

    @jax.jit
    def step(model, state):
        value, gradient = jax.value_and_grad(loss)(model)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(model, updates), state, value

    state = optimiser.init(model)
    first = loss(model)
    for _ in range(10):
        model, state, value = step(model, state)
    assert value < 0.8 * first
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "model", nnx.to_pure_dict(nnx.state(model)))
        checkpointer.wait_until_finished()
        other = nnx.clone(decoder(seed=1))
        restored = checkpointer.restore(tmp_path / "model", nnx.to_pure_dict(nnx.state(other)))
    nnx.update(other, restored)
    assert largest_difference(other, model) == 0


class Tagger(nnx.Module):
    """A user's own model: their layers around ours."""

    def __init__(self, *, rngs):
        self.embed = nnx.Embed(11, 8, rngs=rngs)
        self.block = TransformerBlock(8, 2, causal=False, positions="rotary", dropout=0.1, rngs=rngs)
        self.out = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, tokens, key=None):
        return self.out(self.block(self.embed(tokens), key=key))


@pytest.mark.parametrize("graph", [True, False], ids=["graph mode", "tree mode"])
def test_inside_a_users_model_with_nnx_optimizer(graph):
    with nnx.set_graph_mode(graph):
        model = Tagger(rngs=nnx.Rngs(0))
        optimiser = nnx.Optimizer(model, optax.adam(3e-2), wrt=nnx.Param)

        @nnx.jit
        def step(model, optimiser, key):
            def loss(model):
                logits = model(TOKENS, key)
                return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, TOKENS % 3))

            value, gradient = nnx.value_and_grad(loss)(model)
            optimiser.update(model, gradient)
            return value

        values = [float(step(model, optimiser, jax.random.key(n))) for n in range(12)]
        assert values[-1] < 0.6 * values[0]
        model.eval()
        np.testing.assert_array_equal(model(TOKENS), model(TOKENS))


def test_bfloat16_is_near_float64(x64):
    """Root mean squares over 64 models: the error of the logits against the logits, in units of a rounding, 2**-9.

    A logit comes through 23 roundings in a row (ten in each of two layers, and the sum of the embeddings, the last
    norm, the product with the table). If they were independent, and uniform up to 2**-9, that were sqrt(23 / 3) = 2.8;
    as the rounding errors of embeddings of size 0.02 are made larger by the first norm, and of one sum are alike, it
    is more: over 400 models 3.75, and in eight groups of 50 of them 3.3 to 4.1. Six times the spread of the groups
    (0.26) makes it 5.3. Against the same parameters in float64: rounding those is not the arithmetic's error.
    """
    make = lambda key: TransformerDecoder(11, 8, 2, 2, capacity=8, rngs=nnx.Rngs(key))
    models = jax.jit(jax.vmap(make))(jax.random.split(jax.random.key(0), 64))
    narrow = jax.tree.map(lambda a: a.astype(jnp.bfloat16), models)
    wide = jax.tree.map(lambda a: a.astype(jnp.float64), narrow)
    tokens = jax.random.randint(jax.random.key(1), (64, 2, 6), 0, 11)
    run = jax.jit(jax.vmap(lambda model, tokens: model(tokens)))
    extend = lambda model, tokens: model.extend(model.initial_carry((2,)), tokens, fresh=True)
    carry, extended = jax.jit(jax.vmap(extend))(narrow, tokens)
    expected, found = run(wide, tokens), run(narrow, tokens)
    assert (expected.dtype, found.dtype, carry.layers[0].k.dtype) == (jnp.float64, jnp.bfloat16, jnp.bfloat16)
    for ys in (found, extended):
        error = jnp.sqrt(jnp.mean((ys - expected) ** 2) / jnp.mean(expected**2))
        assert error < 5.3 * 2**-9


def test_one_token_at_a_time_compiles_once():
    model = drawn(EncoderDecoder, 11, 8, 2, 1, capacity=8)
    step = jax.jit(lambda carry, token: model.extend(carry, token))
    carry = jax.jit(lambda: model.initial_carry((2,), memory=model.encode(TOKENS)))()
    for t in range(6):
        carry, _ = step(carry, TOKENS[:, t : t + 1])
    assert step._cache_size() == 1 and carry[0].count.tolist() == [6, 6]


def test_digits_are_learnt_a_little():
    datasets = pytest.importorskip("sklearn.datasets", reason="the 8x8 digits come with scikit-learn")
    digits = datasets.load_digits()
    images, labels = digits.images[..., None].astype(np.float32) / 16, digits.target
    model = VisionTransformer(10, 32, 4, 1, image=(8, 8, 1), patch=4, rngs=nnx.Rngs(0))
    optimiser = optax.adam(1e-2)

    def error(model, images, labels):
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(images), labels))

    @jax.jit
    def train(model):
        def step(carry, batch):
            model, state = carry
            updates, state = optimiser.update(jax.grad(error)(model, *batch), state)
            return (optax.apply_updates(model, updates), state), None

        batches = (images[:1536].reshape(-1, 64, 8, 8, 1), labels[:1536].reshape(-1, 64))
        epochs = jax.tree.map(lambda a: jnp.tile(a, (4,) + (1,) * (a.ndim - 1)), batches)
        return jax.lax.scan(step, (model, optimiser.init(model)), epochs)[0][0]

    logits = jax.jit(lambda model, images: model(images))(train(model), images[1536:])
    assert np.mean(np.argmax(logits, -1) == labels[1536:]) > 0.7
