"""Sequences that a model makes itself, token by token."""

__all__: list[str] = []
