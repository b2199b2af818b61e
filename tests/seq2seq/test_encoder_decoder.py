"""Encoders and decoders of every kind together, and as one cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import GRU, LSTM, Dense, Dropout, Embed, bidirectional, residual, scan, stack
from seqjax.interop import as_cell
from seqjax.nn import EncoderDecoder as Transformer
from seqjax.nn import TransformerBlock, TransformerEncoder
from seqjax.seq2seq import EncoderDecoder, Memory, attend, copying, encode, fixed_context

SOURCE = np.array([[3, 1, 4, 1, 5], [6, 2, 0, 0, 0]])
LENGTHS = np.array([5, 2])
MASK = np.arange(5) < LENGTHS[:, None]
TARGET = np.array([[0, 2, 7, 1], [0, 8, 8, 2]])
READER = stack(Embed(9, 6), bidirectional(GRU(4)))
WRITER = stack(Embed(9, 6), Dropout(0.2), attend(LSTM(8)), residual(attend(GRU(8), "dot", "after")), Dense(9))
BERT = as_cell(TransformerEncoder, 9, 8, 2, 1, capacity=8)
BLOCKS = stack(Embed(9, 8), as_cell(TransformerBlock, 8, 2, cross=True, capacity=8), Dense(9))
PAIRS = {
    "hybrid": EncoderDecoder(READER, WRITER, begin=0),
    "fixed context": EncoderDecoder(
        READER, stack(Embed(9, 6), attend(GRU(8), "mean"), Dense(9)), begin=0, context="ends"
    ),
    "copying": EncoderDecoder(READER, copying(stack(Embed(9, 6), attend(GRU(8))), 9), begin=0),
    "transformer to RNN": EncoderDecoder(BERT, stack(Embed(9, 6), attend(GRU(8)), Dense(9)), begin=0),
    "RNN to transformer": EncoderDecoder(READER, BLOCKS, begin=0),
    "transformer": EncoderDecoder(None, as_cell(Transformer, 9, 8, 2, 1, capacity=8), begin=0),
}


FEW = ("fixed context", "copying")
ALL = [pytest.param(name, marks=[] if name in FEW else pytest.mark.slow) for name in PAIRS]


def given(model):
    return {"key": jax.random.key(7)} if "key" in model.asks else {}


def run(model, params, source, target=TARGET):
    carry = model.initial_carry(params, (2,), source=source, **given(model))
    return scan(model, params, target, carry)[1]


@pytest.mark.parametrize("name", ALL)
def test_padding_of_the_source_changes_nothing_and_gradients_reach_all(name):
    """Whatever ids stand there, by lengths or by a mask; a longer source is another one."""
    model = PAIRS[name]
    params = model.init(jax.random.key(0), 0)

    @jax.jit
    def score(params, source, lengths):
        ys = run(model, params, (source, lengths))
        return jnp.sum(jnp.sin(ys)), ys

    wanted = jax.value_and_grad(score, has_aux=True)(params, SOURCE, LENGTHS)
    for other in (8, -1, 10**6):  # the last two are no ids at all
        found = jax.value_and_grad(score, has_aux=True)(params, np.where(MASK, SOURCE, other), LENGTHS)
        jax.tree.map(np.testing.assert_array_equal, found, wanted)
    np.testing.assert_allclose(score(params, SOURCE, MASK)[1], wanted[0][1], atol=1e-5)
    assert not np.allclose(score(params, SOURCE, LENGTHS + np.array([0, 1]))[1][1], wanted[0][1][1], atol=1e-6)
    for path, leaf in jax.tree_util.tree_leaves_with_path(wanted[1]):
        if "'b'" not in str(path) and "bias" not in str(path):
            assert np.any(leaf), path


@pytest.mark.parametrize("name", ALL)
def test_spelled_saved_and_read_back(name, tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed (extra train)")
    from seqjax.checkpoint import load, save_model
    from tests.checkpoint.trees import assert_same_bits

    model = PAIRS[name].evaluation()
    assert sj.cell_from_text(repr(model)) == model
    params = model.init(jax.random.key(0), 0)
    save_model(tmp_path, model, params, in_features=0)
    found = load(tmp_path)
    assert found.cell == model
    assert_same_bits(found.params, params)
    np.testing.assert_array_equal(run(found.cell, found.params, SOURCE), run(model, params, SOURCE))


def test_as_one_cell_it_is_the_encoder_then_the_decoder():
    model = PAIRS["hybrid"].evaluation()
    params = model.init(jax.random.key(0), 0)
    memory = encode(READER, params["encoder"], SOURCE, LENGTHS)
    carry = model.decoder.initial_carry(params["decoder"], (2,), memory=memory)
    _, seen_ys, seen = sj.trace(model, params, TARGET, model.initial_carry(params, (2,), source=(SOURCE, LENGTHS)))
    wanted = model.decoder.sequence(params["decoder"], carry, TARGET.T)[1]
    np.testing.assert_allclose(seen_ys, jnp.moveaxis(wanted, 0, 1), atol=1e-6)
    assert seen["decoder/2/weights"].shape == (2, 4, 5) and "decoder/2/cell/c" in seen
    assert model.size(0) == 9 and model.feature_axes == 0 and model.asks == {"source"}


@pytest.mark.slow
def test_a_transformer_with_an_encoder_of_its_own_answers_as_the_module():
    from flax import nnx

    model = PAIRS["transformer"]
    module = Transformer(9, 8, 2, 1, capacity=8, rngs=nnx.Rngs(0))
    params = {"decoder": jax.tree.map(lambda a: a, nnx.to_pure_dict(nnx.state(module, nnx.Param)))}
    params = jax.tree_util.tree_map(jnp.asarray, _strings(params))
    np.testing.assert_allclose(
        run(model, params, (SOURCE, LENGTHS)), module(SOURCE, TARGET, source_mask=jnp.asarray(MASK)), atol=1e-5
    )


def _strings(tree):
    return {str(k): _strings(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


def test_random_parts_draw_from_one_key_each_from_its_own():
    reader = stack(Embed(9, 6), Dropout(0.5), GRU(4))
    model = EncoderDecoder(reader, stack(Embed(9, 6), Dropout(0.5), attend(GRU(8)), Dense(9)), begin=0)
    params = model.init(jax.random.key(0), 0)
    assert model.asks == {"source", "key"}
    start = lambda seed: model.initial_carry(params, (2,), source=SOURCE, key=jax.random.key(seed))
    outputs = [scan(model, params, TARGET, start(seed))[1] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.allclose(outputs[0], outputs[2])
    values = [model.encode(params, SOURCE, (2,), jax.random.key(seed)).values for seed in (0, 1)]
    assert not np.allclose(*values)
    calm = model.evaluation()
    assert calm.asks == {"source"} and run(calm, params, SOURCE).shape == (2, 4, 9)


def test_a_decoder_is_as_wide_as_its_encoder_says():
    for context, width in ((None, 8), ("last", 8), ("ends", 16)):
        plain, told = (
            EncoderDecoder(READER, stack(Embed(9, 6), attend(GRU(5), memory_features=w)), begin=0, context=context)
            for w in (None, width)
        )
        one, other = (model.init(jax.random.key(0), 0) for model in (plain, told))
        jax.tree.map(np.testing.assert_array_equal, one, other)
        assert one["decoder"]["1"]["combine"]["kernel"].shape == (width + 5, 5)


def test_encode_gives_what_scan_gives():
    params = READER.init(jax.random.key(0), 0)
    carry, ys = scan(READER, params, SOURCE, lengths=LENGTHS)
    for options in ({"lengths": LENGTHS}, {"lengths": [5, 2]}, {"mask": MASK}, {"mask": MASK.tolist()}):
        memory = encode(READER, params, np.where(MASK, SOURCE, 10**6), **options)
        np.testing.assert_array_equal(memory.values, ys)
        np.testing.assert_array_equal(memory.mask, MASK)
        np.testing.assert_array_equal(memory.tokens, np.where(MASK, SOURCE, 0))
    assert encode(READER, params, SOURCE).mask is None
    vectors = GRU(4).init(jax.random.key(0), 3)
    assert encode(GRU(4), vectors, np.ones((2, 5, 3), "f4")).tokens is None
    ends = fixed_context(memory).values[:, 0]  # the last of each direction
    np.testing.assert_allclose(ends[:, :4], carry[1].forward, atol=1e-6)
    np.testing.assert_allclose(ends[:, 12:], carry[1].backward, atol=1e-6)


def test_a_fixed_context_is_one_slot():
    values = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("f4")
    mask = np.array([[False, True, True], [False, False, False]])
    spoilt = np.where(mask[..., None], values, np.nan)
    for at, wanted in (
        ("last", values[0, 2]),
        ("mean", values[0, 1:].mean(0)),
        ("ends", [*values[0, 2], *values[0, 1]]),
    ):
        found = fixed_context(Memory(spoilt, mask), at)
        np.testing.assert_allclose(found.values[0, 0], wanted, atol=1e-6)
        assert not np.any(found.values[1]) and found.mask.tolist() == [[True], [False]]
        assert fixed_context(Memory(values), at).mask is None
        assert fixed_context(Memory(values[:, :0]), at).mask.tolist() == [[False], [False]]
