"""Flax modules: attention and transformers."""
