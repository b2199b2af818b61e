"""Bridges: Flax modules as cells, and weights of other libraries. It and `seqjax.nn` alone import flax."""

from seqjax.interop.as_cell import as_cell
from seqjax.interop.call import IN_FEATURES, Evaluation, flax_modules, known_values
from seqjax.interop.weights import from_flax, from_huggingface, from_torch, to_flax, to_huggingface, to_torch

__all__ = [
    "IN_FEATURES", "Evaluation", "as_cell", "flax_modules", "from_flax", "from_huggingface", "from_torch",
    "known_values", "to_flax", "to_huggingface", "to_torch",
]  # fmt: skip
