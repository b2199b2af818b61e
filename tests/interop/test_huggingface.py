"""Folders of Hugging Face without transformers: written here, older forms of them, and what is refused."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import nnx

from seqjax.errors import ArgumentError, ArgumentTypeError, DataError
from seqjax.interop import from_huggingface, to_huggingface
from seqjax.interop.weights.folder import CHECKSUMS, CONFIG, TENSORS, read_folder, write_folder
from seqjax.interop.weights.pairs import parameters
from seqjax.nn import (
    BERT,
    GPT2,
    LLAMA,
    T5,
    T5_GATED,
    EncoderDecoder,
    FeedForward,
    MaskedLanguageModel,
    TransformerDecoder,
    TransformerEncoder,
)  # fmt: skip

pytest.importorskip("safetensors", reason="safetensors, of seqjax[huggingface], is not installed")
MAKERS = {
    "gpt2": lambda: TransformerDecoder(11, 8, 2, 2, capacity=16, rngs=nnx.Rngs(0)),
    "bert": lambda: MaskedLanguageModel(11, 8, 2, 2, capacity=16, rngs=nnx.Rngs(0)),
    "encoder": lambda: TransformerEncoder(11, 8, 2, 2, capacity=16, rngs=nnx.Rngs(0)),
    "t5": lambda: EncoderDecoder(11, 8, 2, (1, 2), capacity=16, rngs=nnx.Rngs(0)),
    "t5 1.1": lambda: EncoderDecoder(11, 8, 2, 1, capacity=16, style=T5_GATED, rngs=nnx.Rngs(0)),
}


@pytest.fixture(scope="module")
def modules():
    return {name: make() for name, make in MAKERS.items()}


def same(one, other):
    ours, theirs = parameters(one), parameters(other)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype and np.array_equal(array, theirs[name]), name
    assert nnx.graphdef(one) == nnx.graphdef(other)


@pytest.mark.parametrize("name", MAKERS)
def test_there_and_back(modules, name, tmp_path):
    to_huggingface(modules[name], tmp_path / "model")
    same(modules[name], from_huggingface(tmp_path / "model"))


def test_a_rate_of_dropout_is_chosen_not_read(modules, tmp_path):
    to_huggingface(TransformerDecoder(11, 8, 2, 2, dropout=0.25, rngs=nnx.Rngs(0)), tmp_path / "model")
    assert json.loads((tmp_path / "model" / CONFIG).read_text())["attn_pdrop"] == 0.25
    assert not from_huggingface(tmp_path / "model").random
    assert from_huggingface(tmp_path / "model", dropout=0.5).random


def test_float64(modules, x64, tmp_path):
    module = jax.tree.map(lambda x: x.astype(float), modules["gpt2"])
    to_huggingface(module, tmp_path / "model")
    same(module, from_huggingface(tmp_path / "model"))
    with jax.enable_x64(False), pytest.raises(ArgumentError, match="float64, which JAX would narrow"):
        from_huggingface(tmp_path / "model")


def rewritten(module, folder, change_tensors=None, **values):
    """A folder of the module with other tensors and other values of its configuration."""
    to_huggingface(module, folder.parent / "first")
    config, tensors = read_folder(folder.parent / "first")
    write_folder(folder, config | values, tensors if change_tensors is None else change_tensors(tensors))
    return folder


def old_gpt2(tensors):
    """As the first files have it: no prefix, the causal mask as a tensor, and a copy of the tied table."""
    names = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    mask = np.tril(np.ones((1, 1, 16, 16), np.float32))
    constants = {"h.0.attn.bias": mask, "h.1.attn.bias": mask, "h.1.attn.masked_bias": np.float32([-1e4])}
    return names | constants | {"lm_head.weight": tensors["transformer.wte.weight"]}


def old_bert(tensors):
    """As the first files have it: gamma and beta, a pooler, a head for next sentences, copies."""
    names = {n.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): t for n, t in tensors.items()}
    head = {"weight": tensors["bert.embeddings.word_embeddings.weight"], "bias": tensors["cls.predictions.bias"]}
    names |= {f"cls.predictions.decoder.{name}": tensor for name, tensor in head.items()}
    names |= {"bert.pooler.dense.weight": np.ones((8, 8), np.float32), "bert.pooler.dense.bias": np.ones(8, np.float32)}
    return names | {"cls.seq_relationship.bias": np.ones(2, np.float32), "bert.embeddings.position_ids": np.arange(16)}


def old_t5(tensors):
    copies = dict.fromkeys(["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"], tensors["shared.weight"])
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return tensors | copies | {unused: np.ones((32, 2), np.float32), "lm_head.weight": tensors["shared.weight"]}


@pytest.mark.parametrize(("name", "change"), [("gpt2", old_gpt2), ("bert", old_bert), ("t5", old_t5)])
def test_older_files(modules, name, change, tmp_path):
    same(modules[name], from_huggingface(rewritten(modules[name], tmp_path / "model", change)))


def test_an_output_table_that_differs_is_not_tied(modules, tmp_path):
    """Though the configuration says so: transformers 5 does as much, and warns."""
    other = lambda tensors: tensors | {"lm_head.weight": 2 * tensors["transformer.wte.weight"]}
    module = from_huggingface(rewritten(modules["gpt2"], tmp_path / "model", other))
    assert np.array_equal(module.head.kernel.T, 2 * modules["gpt2"].embedding.tokens[...])


def drop(name):
    return lambda tensors: {other: tensor for other, tensor in tensors.items() if other != name}


def put(name, tensor):
    return lambda tensors: tensors | {name: tensor}


FLOAT = np.ones(8, np.float32)
REFUSED = {
    "another model": ("gpt2", None, {"model_type": "llama"}, "'llama' is not supported"),
    "no model": ("gpt2", None, {"model_type": None}, "model_type None is not supported"),
    "scaled by layer": (
        "gpt2",
        None,
        {"scale_attn_by_inverse_layer_idx": True},
        "scale_attn_by_inverse_layer_idx True",
    ),
    "not scaled": ("gpt2", None, {"scale_attn_weights": False}, "scale_attn_weights False is not supported"),
    "attends to another": ("gpt2", None, {"add_cross_attention": True}, "add_cross_attention True"),
    "quantised": ("gpt2", None, {"quantization_config": {"bits": 8}}, "quantization_config .* is not supported"),
    "pruned": ("bert", None, {"pruned_heads": {"0": [1]}}, "pruned_heads .* is not supported"),
    "unknown activation": ("gpt2", None, {"activation_function": "gelu_nwe"}, "Perhaps you meant 'gelu_new'"),
    "activation number": ("gpt2", None, {"activation_function": 3}, "activation_function 3 is not supported"),
    "no whole number": ("gpt2", None, {"n_layer": 2.0}, "n_layer must be a whole number above 0, found 2.0"),
    "no epsilon": ("gpt2", None, {"layer_norm_epsilon": "small"}, "layer_norm_epsilon must be a number above 0"),
    "tied how": ("gpt2", None, {"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
    "heads do not divide": ("gpt2", None, {"n_head": 3}, "heads must divide features"),
    "relative BERT": (
        "bert",
        None,
        {"position_embedding_type": "relative_key"},
        "position_embedding_type 'relative_key'",
    ),
    "BERT that decodes": ("bert", None, {"is_decoder": True}, "is_decoder True is not supported"),
    "untied BERT": ("bert", None, {"tie_word_embeddings": False}, "tie_word_embeddings False is not supported"),
    "T5 encoder": ("t5", None, {"is_encoder_decoder": False}, "is_encoder_decoder False"),
    "T5 activation": ("t5", None, {"feed_forward_proj": "gated-tanh"}, "feed_forward_proj 'gated-tanh'"),
    "scaled and untied": (
        "t5 1.1",
        None,
        {"scale_decoder_outputs": True},
        "scale_decoder_outputs is not supported with",
    ),
    "missing tensor": ("gpt2", drop("transformer.ln_f.bias"), {}, "lacks 1 tensors: transformer.ln_f.bias"),
    "missing head": ("gpt2", None, {"tie_word_embeddings": False}, "lacks 1 tensors: lm_head.weight"),
    "missing layer": (
        "gpt2",
        None,
        {"n_layer": 3},
        r"lacks 12 tensors: transformer.h.2.attn.c_attn.bias, .* and 7 more",
    ),
    "layers without end": ("gpt2", None, {"n_layer": 2**30}, "found 28, fewer than the 1073741824 layers"),
    "one layer more": (
        "gpt2",
        None,
        {"n_layer": 1},
        "holds 12 tensors that the model has no place for: transformer.h.1",
    ),
    "a classifier": ("gpt2", put("score.weight", FLOAT), {}, "no place for: transformer.score.weight"),
    "another width": ("gpt2", None, {"n_positions": 17}, r"wpe.weight must have the shape \(17, 8\), found \(16, 8\)"),
    "a vector": ("bert", put("cls.predictions.bias", FLOAT), {}, r"bias must have the shape \(11,\), found \(8,\)"),
    "whole numbers": ("gpt2", put("transformer.ln_f.bias", np.ones(8, np.int8)), {}, "must hold floats, found int8"),
    "other copy": ("t5", put("encoder.embed_tokens.weight", FLOAT), {}, "no place for: encoder.embed_tokens.weight"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(modules, name, tmp_path):
    kind, change, values, message = REFUSED[name]
    folder = rewritten(modules[kind], tmp_path / "model", change, **values)
    with pytest.raises(ArgumentError, match=message):
        from_huggingface(folder)


def decoder(**options):
    return TransformerDecoder(11, 8, 2, 1, rngs=nnx.Rngs(0), **options)


NOT_WRITTEN = {
    "rotary": (lambda: decoder(positions="rotary"), "gpt2 has positions='learned', found 'rotary'"),
    "LLaMA": (lambda: decoder(style=LLAMA), "no activation 'swiglu'"),
    "RMS norms": (lambda: decoder(style=dataclasses.replace(GPT2, norm="rms")), "gpt2 has norm='layer', found 'rms'"),
    "post": (lambda: decoder(style=dataclasses.replace(GPT2, order="post")), "gpt2 has order='pre', found 'post'"),
    "no biases": (lambda: decoder(style=dataclasses.replace(GPT2, bias=False)), "gpt2 has bias=True, found False"),
    "grouped": (lambda: decoder(style=dataclasses.replace(GPT2, kv_heads=1)), "gpt2 has kv_heads=2, found 1"),
    "scale": (lambda: decoder(style=dataclasses.replace(GPT2, scale=1.0)), "gpt2 has scale=0.5, found 1.0"),
    "a norm less": (
        lambda: MaskedLanguageModel(
            11, 8, 2, 1, style=dataclasses.replace(BERT, embedding_norm=False), rngs=nnx.Rngs(0)
        ),
        "bert has embedding_norm=True, found False",
    ),
    "original": (lambda: EncoderDecoder(11, 8, 2, 1, positions="sinusoidal", rngs=nnx.Rngs(0)), "found 'sinusoidal'"),
    "vectors": (lambda: TransformerEncoder(None, 8, 2, 1, rngs=nnx.Rngs(0)), "BERT reads tokens, found"),
    "two languages": (lambda: EncoderDecoder((11, 12), 8, 2, 1, rngs=nnx.Rngs(0)), "one vocabulary"),
    "biases": (
        lambda: EncoderDecoder(11, 8, 2, 1, style=dataclasses.replace(T5, bias=True), rngs=nnx.Rngs(0)),
        "t5 has bias=False, found True",
    ),
    "another module": (
        lambda: FeedForward(4, rngs=nnx.Rngs(0)),
        "must be one of TransformerDecoder, .*found FeedForward",
    ),
}


@pytest.mark.parametrize("name", NOT_WRITTEN)
def test_what_is_not_written(name, tmp_path):
    make, message = NOT_WRITTEN[name]
    with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        to_huggingface(make(), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_wrong_calls(modules, tmp_path):
    module = modules["gpt2"]
    with pytest.raises(ArgumentError, match="config has n_layer 3, but the module 2"):
        to_huggingface(module, tmp_path / "model", config={"n_layer": 3})
    with pytest.raises(ArgumentTypeError, match="config must be a dict"):
        to_huggingface(module, tmp_path / "model", config=["n_layer"])
    with pytest.raises(ArgumentTypeError, match="cannot be written as JSON"):
        to_huggingface(module, tmp_path / "model", config={"note": {1, 2}})
    to_huggingface(module, str(tmp_path / "model"))
    with pytest.raises(DataError, match="is there already"):
        to_huggingface(module, tmp_path / "model")
    with pytest.raises(DataError, match="has the sha256"):
        from_huggingface(str(tmp_path / "model"), sha256="0" * 64)
    (tmp_path / "model" / CHECKSUMS).unlink()
    (tmp_path / "model" / TENSORS).write_bytes((tmp_path / "model" / TENSORS).read_bytes()[:-9])
    with pytest.raises(DataError, match="cut off"):
        from_huggingface(tmp_path / "model")
    with pytest.raises(DataError, match="is no folder"):
        from_huggingface(tmp_path / "modell")
    for call in (from_huggingface, lambda folder: to_huggingface(module, folder)):
        with pytest.raises(ArgumentTypeError, match="folder must be a path, found 3"):
            call(3)


def test_the_folder_in_which_one_is(modules, tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "model")
    to_huggingface(modules["bert"], ".")
    same(modules["bert"], from_huggingface(tmp_path / "model"))
