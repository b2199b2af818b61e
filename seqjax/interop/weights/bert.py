"""BERT (Devlin et al. 2019): `BertForMaskedLM` is a `MaskedLanguageModel`, `BertModel` a `TransformerEncoder`."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
from flax import nnx

from seqjax.errors import ArgumentError
from seqjax.interop.weights.config import ACTIVATIONS, Config, theirs, unless
from seqjax.interop.weights.gpt2 import drop_copies
from seqjax.interop.weights.pairs import Pair, linear, norm
from seqjax.nn import BERT, MaskedLanguageModel, TransformerEncoder

OTHERS = re.compile(r"bert\.pooler\..*|cls\.seq_relationship\..*|bert\.embeddings\.position_ids")
"""What neither uses: parts of the model of next sentences, and a constant."""
Model = MaskedLanguageModel | TransformerEncoder
PREFIXES = ("bert.", "cls.")  # BertModel alone has none
TABLE, HEAD = "bert.embeddings.word_embeddings.weight", "cls.predictions"


def tidy(config: Config, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names as transformers writes them now (the first files have gamma and beta), without copies and other heads."""
    names = {name: name.replace("Norm.gamma", "Norm.weight").replace("Norm.beta", "Norm.bias") for name in tensors}
    names = {name: new if new.startswith(PREFIXES) else f"bert.{new}" for name, new in names.items()}
    found = {names[name]: tensor for name, tensor in tensors.items() if not OTHERS.fullmatch(names[name])}
    found = drop_copies(config, found, f"{HEAD}.decoder.weight", TABLE)
    return drop_copies(config, found, f"{HEAD}.decoder.bias", f"{HEAD}.bias")


def build(config: Config, names: set[str], dropout: float) -> Model:
    """The module of a configuration; `names` are those of the tensors, which have the head for masked tokens or not."""
    config.refuse_unless(position_embedding_type="absolute", tie_word_embeddings=True)
    features = config.count("hidden_size", 768)
    style = dataclasses.replace(
        BERT,
        activation=config.choice("hidden_act", "gelu", ACTIVATIONS),
        epsilon=config.number("layer_norm_eps", 1e-12),
        hidden=unless(config.count("intermediate_size", 3072), 4 * features),
        token_types=config.count("type_vocab_size", 2),
    )
    make = MaskedLanguageModel if any(name.startswith(HEAD) for name in names) else TransformerEncoder
    return make(
        config.count("vocab_size", 30522), features, config.count("num_attention_heads", 12),
        config.count("num_hidden_layers", 12), capacity=config.count("max_position_embeddings", 512),
        dropout=dropout, style=style, rngs=nnx.Rngs(0),
    )  # fmt: skip


def encoder_of(module: Model) -> TransformerEncoder:
    """The module without a head."""
    return module.encoder if isinstance(module, MaskedLanguageModel) else module


def config_of(module: Model) -> dict[str, object]:
    """The configuration of a module."""
    if module.vocabulary is None:
        raise ArgumentError("BERT reads tokens, found a TransformerEncoder of vectors (vocabulary=None)")
    encoder = encoder_of(module)
    trunk, block = encoder.trunk, encoder.trunk.layers
    return {
        "model_type": "bert",
        "architectures": ["BertModel" if module is encoder else "BertForMaskedLM"],
        "vocab_size": module.vocabulary,
        "hidden_size": block.features,
        "num_hidden_layers": trunk.number,
        "num_attention_heads": block.attention.heads,
        "intermediate_size": trunk.style.hidden or 4 * block.features,
        "hidden_act": theirs(trunk.style.activation),
        "layer_norm_eps": trunk.style.epsilon,
        "max_position_embeddings": encoder.capacity,
        "type_vocab_size": trunk.style.token_types,
        "hidden_dropout_prob": float(encoder.dropout),
        "attention_probs_dropout_prob": float(encoder.dropout),
    }


def pairs(module: Model) -> list[Pair]:
    """Which parameter is which tensor. Linear maps are [out, in]."""
    if isinstance(module, MaskedLanguageModel):
        head = linear("dense", f"{HEAD}.transform.dense") + norm("norm", f"{HEAD}.transform.LayerNorm")
        return [*_encoder("encoder/"), *head, Pair("bias", f"{HEAD}.bias")]
    return _encoder("")


def _encoder(root: str) -> list[Pair]:
    ours, layer = f"{root}trunk/layers", "bert.encoder.layer.{}"
    tables = {"tokens": "word_embeddings", "positions": "position_embeddings", "types": "token_type_embeddings"}
    found = [Pair(f"{root}embedding/{mine}", f"bert.embeddings.{yours}.weight") for mine, yours in tables.items()]
    found += norm(f"{root}embedding/norm", "bert.embeddings.LayerNorm")
    for kind in ("query", "key", "value"):
        found += linear(f"{ours}/attention/{kind}", f"{layer}.attention.self.{kind}")
    found += linear(f"{ours}/attention/out", f"{layer}.attention.output.dense", inputs=2)
    found += norm(f"{ours}/attention_norm", f"{layer}.attention.output.LayerNorm")
    found += linear(f"{ours}/feed_forward/up", f"{layer}.intermediate.dense")
    found += linear(f"{ours}/feed_forward/down", f"{layer}.output.dense")
    return found + norm(f"{ours}/feed_forward_norm", f"{layer}.output.LayerNorm")
