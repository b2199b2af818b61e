"""The one table of cells and stacks over which the law is shown."""

from dataclasses import dataclass
from typing import Any

from seqjax import (
    GRU,
    LSTM,
    RNN,
    Cell,
    Dense,
    Dropout,
    Embed,
    MinGRU,
    MinLSTM,
    Norm,
    bidirectional,
    cells,
    layers,
    repeat,
    residual,
    stack,
)
from seqjax.core.chunks import LONGEST_CHUNK
from seqjax.initializers import chrono, identity
from seqjax.interop import IN_FEATURES, as_cell
from seqjax.nn import T5, Style, TransformerBlock, TransformerDecoder
from seqjax.seq2seq import EncoderDecoder, attend, copying
from tests.attending_cells import AttendingLSTM, SelfAttention, WindowAttention, memory_for
from tests.own_cells import LRU as OwnLRU
from tests.own_cells import MGU, DelayLine, Peephole, Skip, TreeCell, Zoneout, mixed_tree, tokens
from tests.seq2seq.makers import masked_memory_for, source_for


@dataclass
class Row:
    """A cell, and how to make what `check_cell` cannot make itself."""

    cell: Cell
    make_xs: Any = None
    make_carry: Any = None
    features: int = 3
    covered: str = ""  # by which rows, where `make test` leaves the law on this one to `make test-all`


ATTENDING = AttendingLSTM(3)
ATTENDING_STACK = stack(Embed(5, 3), AttendingLSTM(3), residual(WindowAttention(3)), Dense(2))
ROOM = 2 * LONGEST_CHUNK + 10
"""Tokens that a cache must hold for the longest sequence of the law."""
GROUPED = Style(kv_heads=1, norm="rms", activation="swiglu")
CROSS = as_cell(TransformerBlock, 4, 2, cross=True, capacity=ROOM)
HYBRID = stack(Embed(5, 3), Dropout(0.3), AttendingLSTM(3), residual(WindowAttention(3)), GRU(3), Dense(2))
DECODER = stack(Embed(5, 3), Dropout(0.3), attend(LSTM(3)), residual(attend(GRU(3), "dot", "after")), Dense(2))
POINTER = copying(stack(Embed(5, 3), attend(RNN(3), "monotonic")), 3, 2)
BOTH = EncoderDecoder(stack(Embed(5, 3), bidirectional(GRU(2))), stack(Embed(5, 3), attend(GRU(3), "general")), begin=0)

COVERED = {
    MinGRU(4): "itself in blocks, in tests/core/test_engines.py, and the LRU in a loop",
    MinLSTM(4): "the MinGRU, of which it has another affine",
}

TABLE = [
    *(
        Row(cell, tokens if cell.feature_axes == 0 else None, covered=COVERED.get(cell, ""))
        for cell in (*cells.EXAMPLES, *layers.EXAMPLES)
    ),
    Row(RNN(3, activation="relu", recurrent_init=identity()), covered="the same cell with other initial weights"),
    Row(RNN(3, activation="identity"), covered="the RNN with relu, whose slope is kept the same way"),
    Row(LSTM(3, bias_init=chrono(20), learned_carry=True), covered="the GRU with a learned carry in both directions"),
    Row(GRU(3, learned_carry=True), covered="the same in both directions"),
    Row(MGU(3)),
    Row(Peephole(3), covered="the GRU, which has parameters of update too"),
    Row(TreeCell(3), mixed_tree),
    Row(stack(RNN(3), LSTM(3), GRU(3)), covered="the stacks around it, of the same cells"),
    Row(stack(Embed(5, 3), Dropout(0.3), LSTM(3), residual(stack(Norm("rms"), GRU(3))), Dense(2)), tokens),
    Row(
        stack(GRU(3, reset_after=False), Dropout(0.3, per="sequence"), Dense(2)),
        covered="its layers alone, and the stack above",
    ),
    Row(residual(LSTM(3)), covered="residual in the stack above, and in repeat"),
    Row(bidirectional(LSTM(3)), covered="the GRU and the RNN in both directions, and LSTMs in stacks"),
    Row(bidirectional(GRU(3, learned_carry=True), merge="product")),
    Row(bidirectional(RNN(3), merge="pair")),
    Row(
        stack(bidirectional(RNN(2), merge="mean"), GRU(3), bidirectional(RNN(2), merge="sum")),
        covered="the other merges, and stacks",
    ),
    Row(stack(embed=Embed(5, 3), rnn=GRU(3), out=Dense(2)), tokens, covered="the stack without names that begins so"),
    Row(repeat(residual(GRU(3)), 2)),
    Row(stack(Dropout(0.2), repeat(Zoneout(RNN(3), 0.2), 2)), covered="repeat, Zoneout and Dropout in other rows"),
    Row(bidirectional(Dropout(0.3, per="sequence"))),
    Row(WindowAttention(3)),
    Row(SelfAttention(3)),
    Row(OwnLRU(3), covered="the LRU, and attention by `parallel`"),
    Row(Zoneout(LSTM(3), 0.3)),
    Row(ATTENDING, make_carry=memory_for(ATTENDING), covered="attention of a decoder in tests/seq2seq/test_law.py"),
    Row(ATTENDING_STACK, tokens, memory_for(ATTENDING_STACK), covered="its layers alone, and other stacks"),
    Row(HYBRID, tokens, memory_for(HYBRID), covered="the row above; Dropout and GRU stand in other stacks"),
    Row(
        as_cell(TransformerBlock, 4, 2, capacity=ROOM, dropout=0.3),
        features=4,
        covered="the mixed stack, and the tests of dropout in tests/interop/test_as_cell.py",
    ),
    Row(
        as_cell(TransformerBlock, IN_FEATURES, 2, window=3, positions="rotary", style=GROUPED),
        features=4,
        covered="the block behind the RNN, and the tests of windows, rotary positions and grouped heads in tests/nn",
    ),
    Row(stack(RNN(4), as_cell(TransformerBlock, 4, 2, capacity=ROOM)), features=4),
    Row(
        stack(Embed(5, 4), LSTM(4), as_cell(TransformerBlock, 4, 2, capacity=ROOM), GRU(3), Dense(2)),
        tokens,
        covered="the row above, and stacks of the other layers",
    ),
    Row(as_cell(TransformerBlock, 4, 2, causal=False), features=4, covered="the tests of modules, and the rows above"),
    Row(CROSS, None, memory_for(CROSS, 4), features=4, covered="the rows above, and attention to a memory in a stack"),
    Row(as_cell(TransformerDecoder, 5, 4, 2, 2, capacity=ROOM), tokens, covered="the blocks above, in a loop"),
    Row(repeat(as_cell(TransformerBlock, 4, 2, window=3, style=T5), 2), features=4, covered="repeat and the blocks"),
    Row(Skip(DelayLine(2))),
    Row(
        stack(Skip(DelayLine(2)), residual(WindowAttention(6)), bidirectional(OwnLRU(2))),
        covered="its layers alone, and the GRU in both directions",
    ),
    Row(
        DECODER,
        tokens,
        masked_memory_for(DECODER),
        covered="tests/seq2seq/test_law.py, and attention to a memory in a stack",
    ),
    Row(POINTER, tokens, masked_memory_for(POINTER), covered="tests/seq2seq/test_law.py and test_papers.py"),
    Row(BOTH, tokens, source_for(BOTH), covered="tests/seq2seq/test_law.py and test_encoder_decoder.py"),
]

MAY_BE_LEFT_OUT = {
    "sequence_is_the_fold_of_step": "reads both directions",
    "outputs_do_not_see_the_future": "reads both directions",
    "batch_rows_do_not_touch": "whole numbers",
    "reverse_is_the_flip": "reads both directions",
    "vmap_over_params": "no parameters",
    "resets_cut": "does not begin as it did",
    "a_fresh_carry_need_not_be_given": "asks for",
    "what_is_held_stays": "nothing is held",
    "a_uniform_step_takes_time_as_an_axis": "not said to be uniform",
}
"""By the part of the law, what its report says where it is not tried on one of these cells."""
