"""From one sequence to another: encoders, decoders that attend, and what a decoder is fed."""

from seqjax.attention.memory import Memory
from seqjax.seq2seq.attend import Attend, attend
from seqjax.seq2seq.carry import AttendCarry, Source
from seqjax.seq2seq.context import fixed_context
from seqjax.seq2seq.copying import Copying, copying
from seqjax.seq2seq.encode import encode
from seqjax.seq2seq.encoder_decoder import EncoderDecoder
from seqjax.seq2seq.feedback import Feedback
from seqjax.seq2seq.feeds import Feed, free, scheduled, teacher, two_pass
from seqjax.seq2seq.schedules import exponential, inverse_sigmoid, linear
from seqjax.seq2seq.unrolling import choose_inputs, unroll

__all__ = [
    "Attend",
    "AttendCarry",
    "Copying",
    "EncoderDecoder",
    "Feed",
    "Feedback",
    "Memory",
    "Source",
    "attend",
    "choose_inputs",
    "copying",
    "encode",
    "exponential",
    "fixed_context",
    "free",
    "inverse_sigmoid",
    "linear",
    "scheduled",
    "teacher",
    "two_pass",
    "unroll",
]
