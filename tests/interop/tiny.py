"""Tiny models of transformers with random weights, made here: nothing is fetched."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, of seqjax[torch], is not installed")


def load_transformers():
    """The package, or a skip where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of what it imports is old; what it does later must not warn
        transformers = pytest.importorskip("transformers", reason="transformers, of seqjax[torch], is not installed")
        names = ("GPT2LMHeadModel", "BertForMaskedLM", "T5ForConditionalGeneration")
        assert all(getattr(transformers, name) for name in names)  # it imports a model when it is asked for
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


transformers = load_transformers()
VOCABULARY = 23


def gpt2(**options):
    sizes = {"n_positions": 32, "n_embd": 16, "n_layer": 3, "n_head": 4}
    special = {"bos_token_id": 0, "eos_token_id": 0}
    return random(
        lambda: transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=VOCABULARY, **sizes | special | options)
        )
    )


def bert(**options):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    config = transformers.BertConfig(vocab_size=VOCABULARY, **sizes | {"max_position_embeddings": 32} | options)
    return random(lambda: transformers.BertForMaskedLM(config))


def bert_encoder(**options):
    return random(lambda: transformers.BertModel(bert().config, **options))


def t5(**options):
    sizes = {"d_model": 16, "d_kv": 6, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4}
    buckets = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 5}
    config = transformers.T5Config(vocab_size=VOCABULARY, **sizes | buckets | options)
    return random(lambda: transformers.T5ForConditionalGeneration(config))


def random(make, seed=0):
    """The model of `make` with all parameters drawn, biases and norms too, which begin as zeros and ones.

    Always the same: what `make` draws comes from torch's one generator, whose state depends on the tests before.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def save(model, folder, **options):
    """The folder, written by save_pretrained."""
    model.save_pretrained(folder, **options)
    return folder


def numbers(tensor):
    return tensor.detach().numpy()


def off(ours, theirs):
    """The largest difference, relative to the largest of their values."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()
