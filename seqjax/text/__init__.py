"""Text as token ids and back: vocabularies of characters, words or bytes, and byte-level BPE."""

from seqjax.text.tokenizer import Tokenizer, load_tokenizer, train_bpe
from seqjax.text.vocabulary import Vocabulary

__all__ = ["Tokenizer", "Vocabulary", "load_tokenizer", "train_bpe"]
