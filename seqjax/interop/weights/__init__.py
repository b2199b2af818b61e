"""Weights of other libraries: Hugging Face's folders, layers of torch and of Flax."""

from seqjax.interop.weights.flax import from_flax, to_flax
from seqjax.interop.weights.huggingface import from_huggingface, to_huggingface
from seqjax.interop.weights.torch import from_torch, to_torch

__all__ = ["from_flax", "from_huggingface", "from_torch", "to_flax", "to_huggingface", "to_torch"]
