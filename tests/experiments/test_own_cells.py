"""The cells that the benchmarks have a user write are those of the package."""

import jax
import numpy as np
import pytest

from experiments.benchmarks.own_cells import OWN
from seqjax import scan


@pytest.mark.parametrize("cell", OWN, ids=lambda cell: cell.__name__)
def test_they_are_those_of_the_package(cell):
    ours, own = cell(4), OWN[cell](4)
    params = ours.init(jax.random.key(0), 3)
    shared = {"project": params["project"], "mix": {"kernel": params["mix"]["kernel"]}}
    xs = jax.random.normal(jax.random.key(1), (2, 5, 3))
    np.testing.assert_allclose(scan(own, shared, xs)[1], scan(ours, params, xs)[1], atol=1e-6)
