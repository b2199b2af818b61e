"""Tokens and scores of transformers' own beam search, for its tiny random models with converted weights."""

import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, of seqjax[torch], is not installed")

from seqjax.decode import beam, generate, greedy, min_length, no_repeat, repetition  # noqa: E402
from tests.decode.converted import GPT2_CELL, T5_CELL, convert, t5  # noqa: E402
from tests.interop import tiny  # noqa: E402

K, B, STEPS = 4, 5, 9
PROMPT = np.random.default_rng(0).integers(1, tiny.VOCABULARY, (B, 4))
SOURCE = np.random.default_rng(1).integers(1, tiny.VOCABULARY, (B, 6))
MASK = np.arange(6) < np.array([6, 2, 4, 6, 3])[:, None]
REACHED, UNREACHED = {"gpt2": 3, "t5": 14}, 1
"""A stop token that some beams write and some do not, and one that none does."""


def make(name, folder):
    """What generates, ours and theirs: functions of (strategy, stop) and of options."""
    torch.manual_seed(0)  # on which the models depend too
    model = tiny.gpt2() if name == "gpt2" else t5()
    cell = GPT2_CELL if name == "gpt2" else T5_CELL
    module, params = convert(cell, model, folder)
    if name == "gpt2":
        prompt, carry, given = PROMPT, None, {"inputs": PROMPT}
    else:
        carry = cell.initial_carry(params, (B,), memory=module.encode(SOURCE, jnp.asarray(MASK)))
        prompt, given = np.zeros(B, int), {"inputs": SOURCE, "attention_mask": MASK.astype(int)}
        model.generation_config.decoder_start_token_id = 0
        model.generation_config.use_cache = False  # theirs has a place for each layer of the encoder, not the decoder

    def ours(strategy, stop, rules=()):
        options = {"strategy": strategy, "stop": stop, "processors": rules, "carry": carry}
        return generate(cell, params, prompt, steps=STEPS, **options)

    def theirs(width, stop, **options):
        fill = stop[0] if isinstance(stop, list) else stop
        output = model.generate(
            **{key: torch.from_numpy(value) for key, value in given.items()}, max_new_tokens=STEPS, num_beams=width,
            num_return_sequences=width, eos_token_id=stop, pad_token_id=fill, do_sample=False,
            return_dict_in_generate=True, output_scores=True, **options,
        )  # fmt: skip
        skip = 4 if name == "gpt2" else 1
        tokens = output.sequences.numpy().reshape(B, width, -1)[..., skip:]
        tokens = np.pad(tokens, [(0, 0), (0, 0), (0, STEPS - tokens.shape[-1])], constant_values=fill)
        return tokens, None if width == 1 else output.sequences_scores.numpy().reshape(B, width)

    return ours, theirs


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            made[name] = make(name, tmp_path_factory.mktemp(name) / "model")
        return made[name]

    return get


def check_beams(models, name, alpha, early_stop, stop):
    ours, theirs = models(name)
    found = ours(beam(K, length_penalty=alpha, early_stop=early_stop), stop)
    tokens, scores = theirs(K, stop, length_penalty=alpha, early_stopping=early_stop)
    assert np.array_equal(found.tokens, tokens)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    return np.asarray(found.lengths)


@pytest.mark.parametrize("name", ["gpt2", pytest.param("t5", marks=pytest.mark.slow)])
def test_beams(models, name):
    """One case of each model, in which some texts end and some do not."""
    lengths = check_beams(models, name, 1.0, False, REACHED[name])
    assert lengths.min() < STEPS == lengths.max()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "t5"])
@pytest.mark.parametrize("early_stop", [True, False, "never"])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0, -1.0])
def test_all_options(models, name, alpha, early_stop):
    check_beams(models, name, alpha, early_stop, REACHED[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_the_end_is_not_reached(models, name):
    assert check_beams(models, name, 2.0, True, UNREACHED).min() == STEPS


@pytest.mark.slow
def test_several_stop_tokens(models):
    """More candidates are looked at, as more of them may end; two ends of a text are two texts."""
    lengths = check_beams(models, "gpt2", 1.0, False, [3, 6, 21])
    assert lengths.min() < STEPS


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_processors(models, name):
    """They see log-probabilities, the texts of their own beams, and the prompt of a decoder alone."""
    ours, theirs = models(name)
    rules = (repetition(1.7), no_repeat(2), min_length(4, UNREACHED))
    found = ours(beam(K), UNREACHED, rules)
    options = {"repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "min_new_tokens": 4}
    tokens, scores = theirs(K, UNREACHED, **options)
    assert np.array_equal(found.tokens, tokens)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    assert not np.array_equal(found.tokens, ours(beam(K), UNREACHED).tokens)


@pytest.mark.slow
def test_greedy_t5(models):
    ours, theirs = models("t5")
    assert np.array_equal(ours(greedy(), REACHED["t5"]).tokens, theirs(1, REACHED["t5"])[0][:, 0])
