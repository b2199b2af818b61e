"""Wrong calls, and the messages that say what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax as sj
from seqjax import decode
from seqjax.decode import allowed, generate, greedy, min_length, no_repeat, prefix, repetition, sample
from seqjax.errors import ArgumentError, ArgumentTypeError, NotCausalError
from tests.attending_cells import AttendingLSTM

V = 5
CELL = sj.stack(sj.Embed(V, 3), sj.GRU(3), sj.Dense(V))
PARAMS = CELL.init(jax.random.key(0), 0)
PROMPT = np.array([[1, 2, 3], [4, 0, 1]])
READER = sj.stack(sj.Embed(V, 3), AttendingLSTM(3), sj.Dense(V))
LARGER = sj.stack(sj.Embed(V, 3), sj.GRU(3), sj.Dense(V + 2))
BOTH_WAYS = sj.stack(sj.Embed(V, 3), sj.bidirectional(sj.GRU(3)), sj.Dense(V))
DROPPED = sj.stack(sj.Embed(V, 3), sj.Dropout(0.5), sj.GRU(3), sj.Dense(V))
SHALLOW = sj.stack(sj.Embed(V, 3), sj.GRU(3))


def call(cell=CELL, prompt=PROMPT, **options):
    params = cell.init(jax.random.key(0), 0) if isinstance(cell, sj.Cell) and cell != CELL else PARAMS
    return lambda: generate(cell, params, prompt, **{"steps": 2} | options)


KEY = jax.random.key(0)
WRONG = {
    "a class": (call(sj.GRU), ArgumentTypeError, "expected a cell such as LSTM"),
    "parameters first": (lambda: generate(PARAMS, CELL, PROMPT, steps=2), ArgumentTypeError, "The cell comes first"),
    "parameters of another": (lambda: generate(LARGER, PARAMS, PROMPT, steps=2), ArgumentError, r"params\['2'\]"),
    "both directions": (call(BOTH_WAYS), NotCausalError, "has no step"),
    "vectors": (lambda: generate(sj.GRU(3), {}, PROMPT, steps=2), ArgumentError, "Put Embed"),
    "fewer than it gives": (call(LARGER), ArgumentError, "gives logits of 7 tokens, but does not take all"),
    "a cell that drops": (call(DROPPED), ArgumentError, r"evaluation\(\)"),
    "a cell that reads": (call(READER), ArgumentError, "memory"),
    "floats": (call(prompt=PROMPT * 1.0), ArgumentTypeError, "integer dtype, found float64"),
    "text": (call(prompt=["a", "b"]), ArgumentTypeError, "Text\\? Encode it"),
    "a lone token": (call(prompt=np.array(3)), ArgumentError, r"prompt\[None\]"),
    "too many axes": (call(prompt=PROMPT[None]), ArgumentError, "jax.vmap"),
    "an empty prompt": (call(prompt=PROMPT[:, :0]), ArgumentError, "prompt has no tokens"),
    "a token too large": (call(prompt=PROMPT + 1), ArgumentError, "token id 5"),
    "a token below 0": (call(prompt=[[1, 1], [1, -1]]), ArgumentError, "token id -1"),
    "steps below 0": (call(steps=-1), ArgumentError, "steps must be a whole number of at least 0"),
    "half steps": (call(steps=2.5), ArgumentTypeError, "steps must be a whole number"),
    "lengths of 0": (call(lengths=[2, 0]), ArgumentError, "found 0 in row 1"),
    "lengths above P": (call(lengths=[2, 4]), ArgumentError, r"\[0, 3\].*found 4"),
    "lengths of more rows": (call(lengths=[2, 2, 2]), ArgumentError, "lengths has shape"),
    "lengths as a mask": (call(lengths=[True, True]), ArgumentTypeError, "That is a mask"),
    "lengths of first tokens": (call(prompt=[1, 2], lengths=[1, 1]), ArgumentError, r"prompt\[None\]"),
    "a strategy not called": (call(strategy=greedy), ArgumentTypeError, r"Call it: greedy\(\)"),
    "a strategy by name": (call(strategy="greedy"), ArgumentTypeError, "must be a strategy such as"),
    "no key": (call(strategy=sample()), ArgumentError, "pass key=jax.random.key"),
    "a seed": (call(strategy=sample(), key=0), ArgumentTypeError, "key must be a key such as"),
    "an old key": (call(strategy=sample(), key=jax.random.PRNGKey(0)), ArgumentTypeError, "the old style"),
    "too many keys": (call(strategy=sample(), key=jax.random.split(KEY, 3)), ArgumentError, "one for each of 2 rows"),
    "a stop beyond V": (call(stop=V), ArgumentError, "stop is 5, but the cell gives logits of 5"),
    "a stop below 0": (call(stop=(1, -1)), ArgumentError, "stop must be a whole number"),
    "a stop as text": (call(stop="."), ArgumentTypeError, "stop must be a whole number"),
    "a lone processor": (call(processors=no_repeat(2)), ArgumentTypeError, "processors must be a tuple"),
    "a number among them": (call(processors=[1.2]), ArgumentTypeError, "processors must be functions"),
    "a carry of other rows": (call(carry=CELL.initial_carry(PARAMS, (3,))), ArgumentError, "carry.*shape"),
    "a temperature of 0": (lambda: sample(0.0), ArgumentError, r"use greedy\(\)"),
    "an infinite one": (lambda: sample(float("inf")), ArgumentError, "finite"),
    "a top_k of 0": (lambda: sample(top_k=0), ArgumentError, "top_k must be"),
    "a top_p above 1": (lambda: sample(top_p=90), ArgumentError, "top_p is a probability"),
    "a min_p of 0": (lambda: sample(min_p=0.0), ArgumentError, "min_p is a probability"),
    "a penalty of 0": (lambda: repetition(0), ArgumentError, "penalty must be above 0"),
    "an n-gram of 0": (lambda: no_repeat(0), ArgumentError, "size must be"),
    "nothing allowed": (lambda: allowed([]), ArgumentError, "at least one"),
    "allowed floats": (lambda: allowed([0.5]), ArgumentTypeError, "whole numbers"),
    "allowed beyond V": (call(processors=[allowed([1, 9])]), ArgumentError, r"ids must be in \[0, 5\)"),
    "a mask of another size": (call(processors=[allowed(np.ones(4, bool))]), ArgumentError, "4 tokens, but the cell"),
    "a prefix beyond V": (call(processors=[prefix([9])]), ArgumentError, r"tokens must be in \[0, 5\)"),
    "lengths of a prefix": (lambda: prefix([[1, 2]], lengths=[3]), ArgumentError, "lengths must be in"),
    "no stop to forbid": (lambda: min_length(2, ()), ArgumentError, "found none"),
    "half a length": (lambda: min_length(2.5, 1), ArgumentTypeError, "least must be a whole number"),
    "a stream inside jit": (
        lambda: jax.jit(lambda prompt: list(decode.stream(CELL, PARAMS, prompt, steps=1)))(PROMPT),
        ArgumentError, "cannot be called inside jit",
    ),
    "a stream of constants inside jit": (
        lambda: jax.jit(lambda: list(decode.stream(CELL, PARAMS, PROMPT, steps=1)))(),
        ArgumentError, "cannot be called inside jit",
    ),
    "a stream of beams": (
        lambda: decode.stream(CELL, PARAMS, PROMPT, strategy=decode.beam(2)), ArgumentError, "Use generate",
    ),
    "steps that are traced": (
        lambda: jax.jit(lambda steps: generate(CELL, PARAMS, PROMPT, steps=steps))(jnp.array(3)),
        ArgumentTypeError, "It must be static",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused(name):
    wrong, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        wrong()


def test_logits_come_last():
    with pytest.raises(ArgumentError, match="3 tokens|Put Dense"):
        call(SHALLOW, stop=4)()
