"""Summaries of logarithms over examples, against NumPy on the norms themselves."""

import numpy as np
import pytest

import seqjax as sj
from seqjax.diagnostics import summarize


def test_equals_numpy_on_the_norms():
    norms = np.random.default_rng(0).lognormal(size=(7, 5))
    norms[2, 1] = norms[:, 4] = np.nan
    norms[:3, 3] = 0
    shares = (0.0, 0.1, 0.33, 0.9, 1.0)
    with np.errstate(divide="ignore"):
        found = summarize(np.log(norms), shares)
    some = norms[:, :4]
    np.testing.assert_allclose(np.exp(found.mean[:4]), np.nanmean(some, axis=0))
    np.testing.assert_allclose(np.exp(found.median[:4]), np.nanmedian(some, axis=0))
    np.testing.assert_allclose(np.exp(found.quantiles[:, :4]), np.nanquantile(some, shares, axis=0))
    assert found.examples.tolist() == [7, 6, 7, 7, 0]
    assert np.isnan(found.mean[4]) and np.isnan(found.median[4]) and np.isnan(found.quantiles[:, 4]).all()


@pytest.mark.parametrize("size", [-1e6, 1e6])
def test_norms_beyond_floats(size):
    logs = size + np.log([1.0, 3.0])
    found = summarize(logs, (0.25,))
    np.testing.assert_allclose(found.median - size, np.log(2.0), rtol=1e-9)
    np.testing.assert_allclose(found.mean - size, np.log(2.0), rtol=1e-9)
    np.testing.assert_allclose(found.quantiles[0] - size, np.log(1.5), rtol=1e-9)


def test_another_axis_and_no_examples():
    logs = np.log(np.arange(1.0, 7.0).reshape(2, 3))
    np.testing.assert_allclose(np.exp(summarize(logs, axis=1).median), [2, 5])
    assert np.isnan(summarize(logs[:0]).median).all()
    assert summarize(logs, ()).quantiles.shape == (0, 3)


def test_what_cannot_be_right_is_named():
    logs = np.zeros((2, 3))
    with pytest.raises(sj.ArgumentError, match=r"shares in 0 ... 1, found \(10, 90\). Percent\?"):
        summarize(logs, (10, 90))
    with pytest.raises(sj.ArgumentTypeError, match="quantiles must be a number, found 'p10'"):
        summarize(logs, ("p10",))
    with pytest.raises(sj.ArgumentError, match=r"logs \(2, 3\) have no axis 2"):
        summarize(logs, axis=2)
