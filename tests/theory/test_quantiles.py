"""Quantiles far out, where a normal start is far off: none may come out wrong without a word."""

import math

import numpy as np
import pytest
from scipy import stats

import fracrepro as fr


@pytest.mark.parametrize("width", [1, 4, 16, 64])
def test_quantiles_of_one_linear_layer_against_chi_squared(width):
    law = fr.LogNormLaw(1, width, fr.Linear(), 0.7)
    lower = np.array([1e-12, 1e-9, 1e-6, 0.01, 0.3])
    expected = 0.5 * np.log(0.7 * stats.chi2.ppf(lower, width))
    np.testing.assert_allclose(law.ppf(lower), expected, rtol=1e-9, atol=1e-10)
    # The upper tail of a single layer has absolute accuracy: 1e-13 here, so at 1e-9 1e-4 relative.
    upper = np.array([0.3, 0.01, 1e-6, 1e-9])
    expected = 0.5 * np.log(0.7 * stats.chi2.isf(upper, width))
    np.testing.assert_allclose(law.ppf(1.0 - upper), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_quantiles_of_one_relu_layer_against_the_binomial_mixture(width, p):
    activation = fr.Dropout(fr.ReLU(), p)
    law = fr.LogNormLaw(1, width, activation, 0.3)
    n = np.arange(1, width + 1)
    weights = stats.binom.pmf(n, width, 0.5 * (1 - p))
    weights /= weights.sum()
    for tail in (1e-3, 1e-6, 1e-9, 1e-11, 1e-13):
        square = math.exp(2 * law.ppf(1.0 - tail)) / (0.3 / (1 - p) ** 2)
        assert weights @ stats.chi2.sf(square, n) == pytest.approx(1.0 - (1.0 - tail), rel=1e-6, abs=0)


@pytest.mark.parametrize(
    ("depth", "width", "activation"),
    [
        (1, 4, fr.Linear()),
        (1, 4, fr.ReLU()),
        (3, 16, fr.RReLU()),
        (1, 64, fr.LeakyReLU(0.3)),
        (20, 4, fr.Linear()),
        (2, 8, fr.Dropout(fr.Linear(), 0.5)),
    ],
)
def test_quantiles_rise_and_lead_back_to_their_order(depth, width, activation):
    law = fr.LogNormLaw(depth, width, activation, 0.1)
    orders = np.concatenate(
        [10.0 ** -np.arange(10.0, 1.0, -1.0), [0.3, 0.5, 0.7], 1.0 - 10.0 ** -np.arange(2.0, 10.0)]
    )
    points = law.ppf(orders)
    assert np.all(np.diff(points) > 0)
    np.testing.assert_allclose(law.cdf(points), orders, rtol=0, atol=1e-10)
