"""Bridges: Flax modules as cells, weights of other libraries."""
