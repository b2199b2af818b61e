"""Wrong calls, and what is said of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqjax import (
    GRU,
    LSTM,
    ArgumentError,
    ArgumentTypeError,
    Dense,
    Dropout,
    Embed,
    bidirectional,
    cell_from_text,
    scan,
    stack,
)
from seqjax.seq2seq import EncoderDecoder, Memory, attend, copying, encode, fixed_context

CELL = attend(GRU(3))
PARAMS = CELL.init(jax.random.key(0), 2)
READER, WRITER = stack(Embed(5, 2), GRU(3)), stack(Embed(5, 2), CELL, Dense(5))
MODEL = EncoderDecoder(READER, WRITER, begin=0)
READS = READER.init(jax.random.key(0), 0)
WORDS = MODEL.init(jax.random.key(0), 0)
VALUES, IDS = np.zeros((2, 4, 3), "f4"), np.zeros((2, 4), int)
POINTER = copying(attend(GRU(3)), 5, extra=1)
POINTS = POINTER.init(jax.random.key(0), 2)


def start(memory, batch=(2,)):
    return CELL.initial_carry(PARAMS, batch, memory=memory)


WRONG = {
    "tokens without an embedding": (lambda: attend(stack(Embed(5, 2), GRU(3))), "takes no vectors.*stack\\(Embed\\(50, 16\\)"),
    "both directions": (lambda: attend(bidirectional(GRU(3))), "reads both directions, so it has no step"),
    "no cell": (lambda: attend(GRU), "expected a cell such as LSTM"),
    "a pair": (lambda: attend(stack(GRU(3), bidirectional(GRU(3), merge="pair"))), "no step|a pair"),
    "an unknown score": (lambda: attend(GRU(3), "aditive"), "no score 'aditive'. Perhaps you meant 'additive'"),
    "a score as a function": (lambda: attend(GRU(3), jnp.dot), "there is no score <"),
    "an unknown feed": (lambda: attend(GRU(3), feed="luong"), "feed must be 'before' or 'after', found 'luong'"),
    "an unknown start": (lambda: attend(GRU(3), start="zero"), "start must be .* Perhaps you meant 'zeros'"),
    "no features": (lambda: attend(GRU(3), features=0), "features must be a whole number above 0, found 0"),
    "features that are half": (lambda: attend(GRU(3), memory_features=2.5), "memory_features must be a whole number"),
    "a size that depends": (lambda: attend(Dropout(0.1)), "memory_features must be said"),
    "a size that depends on itself": (lambda: attend(Dropout(0.1), feed="after", memory_features=3), "feed must be 'before'"),
    "dot of two widths": (
        lambda: attend(GRU(3), "dot", memory_features=4).init(jax.random.key(0), 2),
        "as many features of queries as of keys, found 3, 4",
    ),
    "no memory": (lambda: CELL.initial_carry(PARAMS, (2,)), "was given none: pass memory=encode"),
    "no carry": (lambda: scan(CELL, PARAMS, np.zeros((2, 3, 2), "f4")), "reads a memory: pass carry="),
    "ids as a memory": (lambda: start(VALUES.astype(int)), "must be floating point.*encode\\(...\\) makes vectors"),
    "a list as a memory": (lambda: start([[[0.0]]]), "expected a Memory or an array .* found list"),
    "a memory without its batch": (lambda: start(VALUES[0]), r"shape \(4, 3\), expected \(2, S, 3\)"),
    "a memory of another batch": (lambda: start(VALUES, (3,)), r"shape \(2, 4, 3\), expected \(3, S, 3\)"),
    "a memory of another width": (lambda: start(np.zeros((2, 4, 5), "f4")), "attend\\(..., memory_features=5\\)"),
    "a mask of numbers": (lambda: start(Memory(VALUES, IDS)), "memory.mask must be an array of bool, True where a step is real"),
    "a mask that is a list": (lambda: start(Memory(VALUES, [[True] * 4] * 2)), "memory.mask must be .*, found list"),
    "a mask of another shape": (lambda: start(Memory(VALUES, IDS[:, :3] > 0)), r"memory.mask has shape \(2, 3\)"),
    "tokens that are floats": (lambda: start(Memory(VALUES, None, VALUES[..., 0])), "memory.tokens must be an array of ids"),
    "an unknown name": (lambda: CELL.initial_carry(PARAMS, (2,), memory=VALUES, sauce=1), "given 'sauce'"),
    "another place": (lambda: fixed_context(Memory(VALUES), "end"), "found 'end'. Perhaps you meant 'ends'"),
    "an array as a memory": (lambda: fixed_context(VALUES), "expected a Memory, as encode makes it"),
    "no steps": (lambda: encode(READER, READS, np.zeros((), int)), r"source of shape \[\*B, S\]"),
    "vectors as ids": (lambda: encode(READER, READS, VALUES), "must be token ids of an integer dtype"),
    "a list as a source": (lambda: encode(READER, READS, [1, 2]), "must be an array, found list"),
    "two marks": (lambda: encode(READER, READS, IDS, [4, 2], mask=IDS == 0), "mask and lengths were both given"),
    "too long": (lambda: encode(READER, READS, IDS, [4, 5]), r"lengths must be in \[0, 4\]"),
    "a pair of outputs": (lambda: encode(bidirectional(GRU(3), merge="pair"), {}, VALUES), "gives a pair"),
    "a decoder as an encoder": (lambda: encode(WRITER, WORDS["decoder"], IDS), "it is a decoder, not an encoder"),
    "no key": (lambda: encode(stack(Embed(5, 2), Dropout(0.5)), READS, IDS), "draws random numbers"),
    "no source": (lambda: MODEL.initial_carry(WORDS, (2,)), r"reads a source: pass carry="),
    "no carry of both": (lambda: scan(MODEL, WORDS, IDS), "reads a source: pass carry="),
    "a source of another batch": (lambda: MODEL.initial_carry(WORDS, (3,), source=IDS), r"batch axes \(2,\), expected \(3,\)"),
    "lists as a source": (lambda: MODEL.initial_carry(WORDS, (2,), source=([[1]], [1])), "or a pair of one"),
    "parameters of a part": (
        lambda: MODEL.initial_carry(WORDS["decoder"], (2,), source=IDS),
        "params must have decoder, encoder, found 0, 1, 2",
    ),
    "parameters of the cell within": (
        lambda: CELL.initial_carry(PARAMS["cell"], (2,), memory=VALUES),
        "params must have cell, score, combine, found",
    ),
    "a decoder that reads nothing": (lambda: EncoderDecoder(READER, READER, begin=0), "reads no memory. Wrap a cell"),
    "no encoder at all": (lambda: EncoderDecoder(None, WRITER, begin=0), "no encoder of its own, and was given none"),
    "a begin that is no id": (lambda: EncoderDecoder(READER, WRITER, begin=-1), "begin must be a whole number"),
    "a begin beyond": (lambda: EncoderDecoder(READER, WRITER, begin=5), "begin is 5, but"),
    "parts swapped": (lambda: EncoderDecoder(WRITER, READER, begin=0), "reads no memory"),
    "words before words": (lambda: copying(WRITER, 5), "leave out the Dense"),
    "no words": (lambda: copying(CELL, 0), "vocabulary must be a whole number of at least 1"),
    "a memory without words": (lambda: POINTER.initial_carry(POINTS, (2,), memory=VALUES), "its memory has none: encode ids"),
    "words beyond": (
        lambda: POINTER.initial_carry(POINTS, (2,), memory=Memory(VALUES, None, IDS + 6)),
        r"token id 6, but ids must be in \[0, 6\)",
    ),
    "an unknown name in text": (lambda: cell_from_text("atend(GRU(3))"), "Perhaps you meant 'attend'"),
    "a wrong option in text": (lambda: cell_from_text("attend(GRU(3), scor='dot')"), "attend refused its arguments"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    call, said = WRONG[name]
    with pytest.raises((ArgumentError, ArgumentTypeError), match=said):
        call()


def test_lstm_of_another_decoder_is_named():
    params = attend(LSTM(3)).init(jax.random.key(0), 2)
    with pytest.raises(ArgumentError, match="Parameters of another cell"):
        scan(CELL, params, np.zeros((2, 3, 2), "f4"), start(VALUES))
