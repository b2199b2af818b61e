"""Originals: where they come from, at which version, by which digest, and where they are kept."""
