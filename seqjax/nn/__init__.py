"""Flax modules: attention and transformers."""

from seqjax.nn.attention import MultiHeadAttention
from seqjax.nn.block import TransformerBlock
from seqjax.nn.decoder import DecoderCarry, TransformerDecoder
from seqjax.nn.encoder import MaskedLanguageModel, TransformerEncoder
from seqjax.nn.encoder_decoder import EncoderDecoder
from seqjax.nn.feed_forward import FeedForward
from seqjax.nn.shared import Memory
from seqjax.nn.style import BERT, GPT2, LLAMA, T5, T5_GATED, Style

__all__ = [
    "BERT", "GPT2", "LLAMA", "T5", "T5_GATED", "DecoderCarry", "EncoderDecoder", "FeedForward", "MaskedLanguageModel",
    "Memory", "MultiHeadAttention", "Style", "TransformerBlock", "TransformerDecoder", "TransformerEncoder",
]  # fmt: skip
