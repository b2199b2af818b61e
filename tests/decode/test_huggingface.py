"""The token ids of transformers' own `generate`, on the same weights."""

import numpy as np
import pytest

from seqjax import decode

torch = pytest.importorskip("torch", reason="torch, of seqjax[torch], is not installed")

from tests.decode.converted import GPT2_CELL, convert  # noqa: E402
from tests.interop import tiny  # noqa: E402

B, P, L = 4, 5, 20
PROMPT = np.random.default_rng(3).integers(1, tiny.VOCABULARY, (B, P))
STOP = 0


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    model = tiny.gpt2()
    return model, convert(GPT2_CELL, model, tmp_path_factory.mktemp("gpt2") / "model")[1]


def theirs(model, **options):
    options |= {"max_new_tokens": L, "do_sample": False, "pad_token_id": STOP, "eos_token_id": STOP}
    prompt = torch.from_numpy(PROMPT)
    written = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options).numpy()[:, P:]
    return np.pad(written, ((0, 0), (0, L - written.shape[1])), constant_values=STOP)


CASES = {
    "plain": ({}, ()),
    "repetition": ({"repetition_penalty": 1.7}, (decode.repetition(1.7),)),
    "no repeat": ({"no_repeat_ngram_size": 2}, (decode.no_repeat(2),)),
    "both": (
        {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "min_new_tokens": 9},
        (decode.repetition(1.3), decode.no_repeat(3), decode.min_length(9, STOP)),
    ),
}


SHORT = "both"


@pytest.mark.parametrize("name", [SHORT, *(pytest.param(n, marks=pytest.mark.slow) for n in CASES if n != SHORT)])
def test_greedy_ids(name, gpt2):
    model, params = gpt2
    options, processors = CASES[name]
    found = decode.generate(GPT2_CELL, params, PROMPT, steps=L, stop=STOP, processors=processors)
    wanted = theirs(model, **options)
    assert found.tokens.tolist() == wanted.tolist()
    assert len(np.unique(wanted)) > 2


@pytest.mark.slow
def test_what_each_case_changes(gpt2):
    """Each option writes another text here, so that the cases above tell them apart."""
    texts = {name: tuple(theirs(gpt2[0], **options).ravel()) for name, (options, _) in CASES.items()}
    assert len(set(texts.values())) == len(CASES)


@pytest.mark.slow
def test_ragged_prompts(gpt2):
    """Together, as theirs alone."""
    model, params = gpt2
    lengths = [5, 1, 3, 2]
    found = decode.generate(GPT2_CELL, params, PROMPT, steps=8, lengths=lengths)
    for row, length in enumerate(lengths):
        prompt = torch.from_numpy(PROMPT[row : row + 1, :length])
        options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": STOP, "eos_token_id": None}
        wanted = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[0, length:]
        assert found.tokens[row].tolist() == wanted.tolist()


def test_the_head_that_they_sample_from(gpt2):
    """Temperature, top k, top p and min p leave what transformers' own steps leave."""
    transformers = tiny.transformers
    logits = np.random.default_rng(4).normal(size=(6, 40)).astype(np.float32) * 3
    for temperature, top_k, top_p, min_p in ((0.7, 10, 0.8, 0.05), (1.3, 5, 0.9, 0.1), (1.0, 40, 0.5, 0.3)):
        scores = torch.from_numpy(logits)
        for step in (
            transformers.TemperatureLogitsWarper(temperature),
            transformers.TopKLogitsWarper(top_k),
            transformers.TopPLogitsWarper(top_p),
            transformers.MinPLogitsWarper(min_p),
        ):
            scores = step(None, scores)
        left, ids = decode.sample(temperature, top_k=top_k, top_p=top_p, min_p=min_p).head(logits)
        whole = np.full_like(logits, -np.inf)
        np.put_along_axis(whole, np.asarray(ids), np.asarray(left), axis=-1)
        np.testing.assert_allclose(whole, scores.numpy(), rtol=1e-6)
