"""Tiny random models of transformers as cells."""

import dataclasses

import jax
from flax import nnx

from seqjax.interop import as_cell, from_huggingface
from seqjax.nn import GPT2, T5, EncoderDecoder, TransformerDecoder
from tests.interop import tiny

GPT2_CELL = as_cell(TransformerDecoder, tiny.VOCABULARY, 16, 4, 3, capacity=32, style=GPT2)
T5_CELL = as_cell(
    EncoderDecoder, tiny.VOCABULARY, 16, 4, (2, 3), capacity=512,
    style=dataclasses.replace(T5, tied=False, hidden=24, head_features=6, buckets=8, max_distance=5),
)  # fmt: skip


def t5():
    """With a table of outputs of its own: tied ones say what they read again and again."""
    model = tiny.t5(tie_word_embeddings=False, scale_decoder_outputs=False)
    generator = tiny.torch.Generator().manual_seed(5)
    model.lm_head.weight = tiny.torch.nn.Parameter(tiny.torch.randn(model.lm_head.weight.shape, generator=generator))
    return model


def convert(cell, model, folder):
    """The module that was read from the model's folder, and its parameters as those of the cell."""
    module = from_huggingface(tiny.save(model, folder))
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    wanted = jax.eval_shape(lambda: cell.init(jax.random.key(0), 0))
    assert jax.tree.map(lambda a: a.shape, params) == jax.tree.map(lambda a: a.shape, wanted)
    return module, params
