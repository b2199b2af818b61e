"""T5 (Raffel et al. 2020), version 1.0 and 1.1: `T5ForConditionalGeneration` is an `EncoderDecoder`."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from flax import nnx

from seqjax.errors import ArgumentError
from seqjax.interop.weights.config import ACTIVATIONS, Config, theirs, unless
from seqjax.interop.weights.gpt2 import HEAD, drop_copies
from seqjax.interop.weights.pairs import Pair, linear, norm
from seqjax.nn import T5, EncoderDecoder

GATED = {"gated-gelu": "geglu_tanh", "gated-gelu_new": "geglu_tanh", "gated-silu": "swiglu", "gated-swish": "swiglu"}
FEED_FORWARD = ACTIVATIONS | GATED
TABLE = "shared.weight"
COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"  # in the first files


def tidy(config: Config, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One table for each, and none that nothing reads."""
    found = {name: tensor for name, tensor in tensors.items() if name != UNUSED}
    for name in COPIES:
        table = found.setdefault(TABLE, found[name]) if name in found else None
        if table is not None and np.array_equal(found[name], table):
            del found[name]
    return drop_copies(config, found, HEAD, TABLE)


def build(config: Config, names: set[str], dropout: float) -> EncoderDecoder:
    """The module of a configuration; `names` are those of the tensors.

    Before version 5 transformers scaled the logits where the output was tied; now `scale_decoder_outputs` says it.
    """
    config.refuse_unless(is_encoder_decoder=True)
    scaled = config.flag("scale_decoder_outputs", config.flag("tie_word_embeddings", True))
    if scaled and HEAD in names:
        raise ArgumentError(f"{config.source}: scale_decoder_outputs is not supported with a table of outputs ({HEAD})")
    features, heads = config.count("d_model", 512), config.count("num_heads", 8)
    layers = config.count("num_layers", 6)
    style = dataclasses.replace(
        T5,
        activation=config.choice("feed_forward_proj", "relu", FEED_FORWARD),
        epsilon=config.number("layer_norm_epsilon", 1e-6),
        hidden=unless(config.count("d_ff", 2048), 4 * features),
        head_features=unless(config.count("d_kv", 64), features // heads),
        tied=HEAD not in names,
        scaled_logits=scaled,
        buckets=config.count("relative_attention_num_buckets", 32),
        max_distance=config.count("relative_attention_max_distance", 128),
    )
    return EncoderDecoder(
        config.count("vocab_size", 32128), features, heads,
        (layers, config.count("num_decoder_layers", layers)), capacity=config.count("n_positions", 512),
        dropout=dropout, style=style, rngs=nnx.Rngs(0),
    )  # fmt: skip


def config_of(module: EncoderDecoder) -> dict[str, object]:
    """The configuration of a module."""
    if not module.shared:
        raise ArgumentError("T5 has one vocabulary for source and target, found two")
    block, style = module.encoder.layers, module.encoder.style
    gated = {ours: name for name, ours in reversed(GATED.items())}
    return {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "is_encoder_decoder": True,
        "vocab_size": module.out_features,
        "d_model": module.features,
        "d_kv": block.attention.head_features,
        "d_ff": style.hidden or 4 * module.features,
        "num_layers": module.encoder.number,
        "num_decoder_layers": module.decoder.number,
        "num_heads": block.attention.heads,
        "n_positions": module.capacity,
        "feed_forward_proj": gated.get(style.activation) or theirs(style.activation),
        "layer_norm_epsilon": style.epsilon,
        "relative_attention_num_buckets": style.buckets,
        "relative_attention_max_distance": style.max_distance,
        "tie_word_embeddings": style.tied,
        "scale_decoder_outputs": style.scaled_logits and style.tied,
        "dropout_rate": float(module.dropout),
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
    }


def pairs(module: EncoderDecoder) -> list[Pair]:
    """Which parameter is which tensor. Linear maps are [out, in]; there are no biases."""
    found = [Pair("source/tokens", TABLE)]
    for side, parts in (("encoder", ["attention"]), ("decoder", ["attention", "cross"])):
        layer, ours = f"{side}.block.{{}}.layer", f"{side}/layers"
        first = f"{side}.block.0.layer.0.SelfAttention"
        found.append(Pair(f"{side}/relative", f"{first}.relative_attention_bias.weight"))
        for i, part in enumerate(parts):
            name = f"{layer}.{i}." + ("SelfAttention" if part == "attention" else "EncDecAttention")
            for kind in ("query", "key", "value"):
                found += linear(f"{ours}/{part}/{kind}", f"{name}.{kind[0]}", bias=False)
            found += linear(f"{ours}/{part}/out", f"{name}.o", bias=False, inputs=2)
            found += norm(f"{ours}/{part}_norm", f"{layer}.{i}.layer_norm", bias=False)
        last = f"{layer}.{len(parts)}"
        gated = module.encoder.style.activation in GATED.values()
        maps = {"gate": "wi_0", "up": "wi_1"} if gated else {"up": "wi"}
        for mine, yours in (maps | {"down": "wo"}).items():
            found += linear(f"{ours}/feed_forward/{mine}", f"{last}.DenseReluDense.{yours}", bias=False)
        found += norm(f"{ours}/feed_forward_norm", f"{last}.layer_norm", bias=False)
        found += norm(f"{side}/norm", f"{side}.final_layer_norm", bias=False)
    return found if module.head is None else [*found, Pair("head/kernel", HEAD, 1, transposed=True)]
