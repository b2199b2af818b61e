"""Flax modules: attention and transformers."""

from seqjax.attention.memory import Memory
from seqjax.nn.attention import MultiHeadAttention
from seqjax.nn.block import TransformerBlock
from seqjax.nn.decoder import DecoderCarry, TransformerDecoder
from seqjax.nn.encoder import MaskedLanguageModel, TransformerEncoder
from seqjax.nn.encoder_decoder import EncoderDecoder
from seqjax.nn.feed_forward import FeedForward
from seqjax.nn.recurrent import Recurrent
from seqjax.nn.sharding import RULES, batch_sharding, shardings
from seqjax.nn.style import BERT, GPT2, LLAMA, T5, T5_GATED, Style
from seqjax.nn.vision import VisionTransformer

__all__ = [
    "BERT", "GPT2", "LLAMA", "RULES", "T5", "T5_GATED", "DecoderCarry", "EncoderDecoder", "FeedForward",
    "MaskedLanguageModel", "Memory", "MultiHeadAttention", "Recurrent", "Style", "TransformerBlock",
    "TransformerDecoder", "TransformerEncoder", "VisionTransformer", "batch_sharding", "shardings",
]  # fmt: skip
