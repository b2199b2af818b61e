"""Logits of tiny random models of transformers and of what is read from their folders, to 1e-5 of the largest logit."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax.interop import from_huggingface, to_huggingface
from seqjax.interop.weights.folder import CONFIG, TENSORS
from tests.interop import tiny
from tests.interop.tiny import numbers, off, torch

B, T, S = 4, 7, 6
TOKENS = np.random.default_rng(0).integers(1, tiny.VOCABULARY, (B, T))
SOURCE = np.random.default_rng(1).integers(1, tiny.VOCABULARY, (B, S))


def real(steps, *lengths):
    """Real tokens of sequences of these lengths: padding on the left in the first half of the rows, then on the right."""
    right = np.arange(steps) < np.array(lengths)[:, None]
    return np.concatenate([right[: B // 2, ::-1], right[B // 2 :]])


MASK, SOURCE_MASK = real(T, 3, 5, 7, 4), real(S, 2, 6, 4, 3)


def places(mask):
    """Positions among the real tokens, which transformers must be told."""
    return torch.from_numpy(np.maximum(np.cumsum(mask, axis=1) - 1, 0))


def only(logits):
    """The logits of real tokens, and zeros elsewhere."""
    return np.where(MASK[..., None], numbers(logits) if isinstance(logits, torch.Tensor) else np.asarray(logits), 0)


@pytest.mark.parametrize(
    "options",
    [{}, {"tie_word_embeddings": False, "activation_function": "relu", "n_inner": 20, "layer_norm_epsilon": 1e-3}],
    ids=["tied", "untied"],
)
def test_gpt2(options, tmp_path):
    model = tiny.gpt2(**options)
    module = from_huggingface(tiny.save(model, tmp_path / "model"))
    assert (module.head is None) == ("tie_word_embeddings" not in options) and module.trunk.number == 3
    padding = {"attention_mask": torch.from_numpy(MASK.astype(int)), "position_ids": places(MASK)}
    wanted = model(torch.from_numpy(TOKENS), **padding).logits
    assert off(only(module(TOKENS, mask=MASK)), only(wanted)) <= 1e-5


def test_gpt2_decodes_from_a_cache(tmp_path):
    """A prompt in one call, then token by token: the logits of transformers over the whole text."""
    model = tiny.gpt2()
    module = from_huggingface(tiny.save(model, tmp_path / "model"))
    carry, first = module.extend(module.initial_carry((B,)), TOKENS[:, :4], fresh=True)
    found = [first]
    step = jax.jit(lambda carry, token: module.extend(carry, token))
    for t in range(4, T):
        carry, logits = step(carry, TOKENS[:, t : t + 1])
        found.append(logits)
    assert off(jnp.concatenate(found, axis=1), numbers(model(torch.from_numpy(TOKENS)).logits)) <= 1e-5


@pytest.mark.parametrize("options", [{}, {"hidden_act": "gelu_new", "type_vocab_size": 3}], ids=["plain", "other"])
def test_bert(options, tmp_path):
    model = tiny.bert(**options)
    module = from_huggingface(tiny.save(model, tmp_path / "model"))
    types = np.random.default_rng(2).integers(0, options.get("type_vocab_size", 2), (B, T))
    padding = {"attention_mask": torch.from_numpy(MASK.astype(int)), "position_ids": places(MASK)}
    wanted = model(torch.from_numpy(TOKENS), token_type_ids=torch.from_numpy(types), **padding).logits
    assert off(only(module(TOKENS, types=types, mask=MASK)), only(wanted)) <= 1e-5
    assert off(module(TOKENS), numbers(model(torch.from_numpy(TOKENS)).logits)) <= 1e-5


def test_bert_without_a_head(tmp_path):
    """Vectors, and back; the pooler, which only the first token has, is left out."""
    model = tiny.bert_encoder()
    module = from_huggingface(tiny.save(model, tmp_path / "theirs"))
    wanted = model(
        torch.from_numpy(TOKENS), attention_mask=torch.from_numpy(MASK.astype(int)), position_ids=places(MASK)
    )
    assert off(only(module(TOKENS, mask=MASK)), only(wanted.last_hidden_state)) <= 1e-5
    to_huggingface(module, tmp_path / "ours")
    again = tiny.transformers.BertModel.from_pretrained(tmp_path / "ours", add_pooling_layer=False).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items() if "pooler" not in name)


def untie(model):
    """A table of outputs of its own, as version 1.1 has."""
    generator = torch.Generator().manual_seed(5)
    table = torch.randn(model.lm_head.weight.shape, generator=generator)
    model.lm_head.weight = torch.nn.Parameter(table)
    return model


def t5(kind):
    if kind == "1.0":
        return tiny.t5()
    if kind == "1.1":
        return untie(tiny.t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False))
    return tiny.t5(feed_forward_proj="gated-silu", tie_word_embeddings=False)  # tied, but its logits are not scaled


T5 = ["1.0", "1.1", "tied, not scaled"]


def run_t5(model, mask):
    inputs = {"input_ids": SOURCE, "attention_mask": SOURCE_MASK.astype(int)}
    inputs |= {"decoder_input_ids": TOKENS, "decoder_attention_mask": mask.astype(int)}
    return model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).logits


@pytest.mark.parametrize("kind", T5)
def test_t5(kind, tmp_path):
    model = t5(kind)
    module = from_huggingface(tiny.save(model, tmp_path / "model"))
    assert (module.head is None) == (kind != "1.1") and (module.encoder.number, module.decoder.number) == (2, 3)
    found = module(SOURCE, TOKENS, source_mask=SOURCE_MASK, mask=MASK)
    assert off(only(found), only(run_t5(model, MASK))) <= 1e-5


def test_t5_decodes_from_a_cache(tmp_path):
    model = t5("1.1")
    module = from_huggingface(tiny.save(model, tmp_path / "model"))
    carry = module.initial_carry((B,), memory=module.encode(SOURCE, SOURCE_MASK))
    carry, first = module.extend(carry, TOKENS[:, :4])
    carry, last = module.extend(carry, TOKENS[:, 4:])
    wanted = numbers(run_t5(model, np.ones((B, T), bool)))
    assert off(jnp.concatenate([first, last], axis=1), wanted) <= 1e-5


MODELS = {
    "gpt2": (tiny.gpt2, "GPT2LMHeadModel"),
    "gpt2 untied": (lambda: tiny.gpt2(tie_word_embeddings=False), "GPT2LMHeadModel"),
    "bert": (tiny.bert, "BertForMaskedLM"),
    **{f"t5 {kind}": (lambda kind=kind: t5(kind), "T5ForConditionalGeneration") for kind in T5},
}


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name, tmp_path):
    """Read, written and loaded by transformers again: the same bits, the same logits; and read again, the same module."""
    make, architecture = MODELS[name]
    model = make()
    tiny.save(model, tmp_path / "theirs")
    to_huggingface(from_huggingface(tmp_path / "theirs"), tmp_path / "ours")
    again = getattr(tiny.transformers, architecture).from_pretrained(tmp_path / "ours")
    for (key, wanted), (other, found) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert key == other and torch.equal(wanted, found), key
    inputs = {"input_ids": torch.from_numpy(TOKENS)}
    if name.startswith("t5"):
        inputs["decoder_input_ids"] = torch.from_numpy(TOKENS)
    assert torch.equal(model(**inputs).logits, again.eval()(**inputs).logits)
    to_huggingface(from_huggingface(tmp_path / "ours"), tmp_path / "twice")
    for file in (CONFIG, TENSORS):
        assert (tmp_path / "twice" / file).read_bytes() == (tmp_path / "ours" / file).read_bytes()


def test_several_files_and_half_precision(tmp_path):
    """Large models come in several files, and often in bfloat16: parameters keep it, bit for bit."""
    model = tiny.gpt2().to(torch.bfloat16)
    tiny.save(model, tmp_path / "model", max_shard_size="10KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    module = from_huggingface(tmp_path / "model")
    assert module.embedding.tokens.dtype == jnp.bfloat16
    wanted = numbers(model.transformer.wte.weight.view(torch.int16))
    assert np.array_equal(np.asarray(module.embedding.tokens).view(np.int16), wanted)
    to_huggingface(module, tmp_path / "ours", config={"eos_token_id": 3, "task": "none"})
    again = tiny.transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours")
    assert again.dtype == torch.bfloat16 and again.config.eos_token_id == 3
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
    assert json.loads((tmp_path / "ours" / CONFIG).read_text())["dtype"] == "bfloat16"
