"""Conversions by name."""

import numpy as np

from seqjax.datasets import catalogue

RNG = np.random.default_rng(0)


def convert(name, *contents):
    entry = catalogue.find(name)
    return entry.convert({original.filename: content for original, content in zip(entry.originals, contents)})


def lists(ragged):
    return [part.tolist() for part in ragged]
