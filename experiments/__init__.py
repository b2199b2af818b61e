"""Experiments: one question a file, each with a `Config`, a `main(config) -> summary` and a run folder."""
