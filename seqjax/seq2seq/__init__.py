"""From one sequence to another: encoders, decoders that attend, and what a decoder is fed."""

from seqjax.attention.memory import Memory

__all__ = ["Memory"]
