"""GPT-2 (Radford et al. 2019): `GPT2LMHeadModel` is a `TransformerDecoder`."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np
from flax import nnx

from seqjax.interop.weights.config import ACTIVATIONS, Config, theirs, unless
from seqjax.interop.weights.pairs import Pair, norm, packed
from seqjax.nn import GPT2, TransformerDecoder

BUFFER = re.compile(r"transformer\.h\.\d+\.attn\.(masked_)?bias")  # causal masks, which older files kept as tensors
HEAD, TABLE = "lm_head.weight", "transformer.wte.weight"


def tidy(config: Config, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names as transformers writes them now, without copies; the first files had no prefix, and masks among weights."""
    names = {name: name if name.startswith(("transformer.", HEAD)) else f"transformer.{name}" for name in tensors}
    found = {names[name]: tensor for name, tensor in tensors.items() if not BUFFER.fullmatch(names[name])}
    return drop_copies(config, found, HEAD, TABLE)


def drop_copies(config: Config, tensors: dict[str, np.ndarray], name: str, table: str) -> dict[str, np.ndarray]:
    """Without the output table where it is the same as that of the input, and the configuration ties them.

    One that differs is kept, and the model is not tied, whatever the configuration says; transformers does so too.
    """
    tied = config.flag("tie_word_embeddings", True)
    if tied and name in tensors and table in tensors and np.array_equal(tensors[name], tensors[table]):
        return {other: tensor for other, tensor in tensors.items() if other != name}
    return tensors


def build(config: Config, names: set[str], dropout: float) -> TransformerDecoder:
    """The module of a configuration; `names` are those of the tensors."""
    config.refuse_unless(scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False)
    features = config.count("n_embd", 768)
    style = dataclasses.replace(
        GPT2,
        activation=config.choice("activation_function", "gelu_new", ACTIVATIONS),
        epsilon=config.number("layer_norm_epsilon", 1e-5),
        hidden=unless(config.count("n_inner", 4 * features), 4 * features),
        tied=config.flag("tie_word_embeddings", True) and HEAD not in names,
    )
    return TransformerDecoder(
        config.count("vocab_size", 50257), features, config.count("n_head", 12), config.count("n_layer", 12),
        capacity=config.count("n_positions", 1024), dropout=dropout, style=style, rngs=nnx.Rngs(0),
    )  # fmt: skip


def config_of(module: TransformerDecoder) -> dict[str, object]:
    """The configuration of a module."""
    trunk, block, rate = module.trunk, module.trunk.layers, float(module.dropout)
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": module.vocabulary,
        "n_positions": module.capacity,
        "n_embd": block.features,
        "n_layer": trunk.number,
        "n_head": block.attention.heads,
        "n_inner": trunk.style.hidden or 4 * block.features,
        "activation_function": theirs(trunk.style.activation),
        "layer_norm_epsilon": trunk.style.epsilon,
        "tie_word_embeddings": trunk.style.tied,
        "attn_pdrop": rate,
        "embd_pdrop": rate,
        "resid_pdrop": rate,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def pairs(module: TransformerDecoder) -> list[Pair]:
    """Which parameter is which tensor. Linear maps are [in, out]; queries, keys and values lie beside each other."""
    ours, layer, kinds = "trunk/layers", "transformer.h.{}", ("query", "key", "value")
    found = [Pair("embedding/tokens", TABLE), Pair("embedding/positions", "transformer.wpe.weight")]
    found += packed([f"{ours}/attention/{kind}/kernel" for kind in kinds], f"{layer}.attn.c_attn.weight", 1)
    found += packed([f"{ours}/attention/{kind}/bias" for kind in kinds], f"{layer}.attn.c_attn.bias", 0)
    maps = {"attention/out": "attn.c_proj", "feed_forward/up": "mlp.c_fc", "feed_forward/down": "mlp.c_proj"}
    for mine, yours in maps.items():
        inputs = 2 if mine == "attention/out" else 1
        found.append(Pair(f"{ours}/{mine}/kernel", f"{layer}.{yours}.weight", inputs))
        found.append(Pair(f"{ours}/{mine}/bias", f"{layer}.{yours}.bias", 0))
    found += norm(f"{ours}/attention_norm", f"{layer}.ln_1") + norm(f"{ours}/feed_forward_norm", f"{layer}.ln_2")
    found += norm("trunk/norm", "transformer.ln_f")
    return found if module.head is None else [*found, Pair("head/kernel", HEAD, 1, transposed=True)]
