"""Two to four layers against Meijer's G-function: products of independent factors in closed form.

The law promises 1e-10 absolutely and 1e-6 in the tails; here it is held to 1e-11 absolutely.
The G-function is summed from residues in 20 digits and shares no formula with the inversion.
"""

import math

import mpmath as mp
import numpy as np
import pytest

import fracrepro as fr
from fracrepro import oracle

CASES = [
    (2, 1, fr.Linear()),
    (2, 64, fr.Linear()),
    (3, 2, fr.Linear()),
    (4, 1, fr.Linear()),
    (4, 5, fr.Linear()),
    (2, 1, fr.ReLU()),
    (2, 4, fr.ReLU()),
    (3, 3, fr.ReLU()),
    (4, 2, fr.ReLU()),
    (2, 4, fr.Abs()),
    (3, 3, fr.Dropout(fr.ReLU(), 0.25)),
    (2, 5, fr.Dropout(fr.Linear(), 0.5)),
]
VARIANCE = 0.7
LOWER = [1e-12, 1e-9, 1e-6, 1e-3]
MIDDLE = [0.01, 0.2, 0.5, 0.8, 0.99]
UPPER = [1e-3, 1e-6, 1e-9]


def exact(law, points, upper=False):
    """P(log(r_k/r_0) ≤ x | survival), or > x; σ^k R_1 ⋯ R_k with the scale put outside."""
    log_scale = 0.5 * law.depth * math.log(law.variance)
    values = [
        oracle.product_probability(
            mp.exp(x - log_scale), law.depth, law.width, law.activation, upper=upper, dps=20
        )
        for x in np.atleast_1d(points).tolist()
    ]
    return np.array(values, dtype=float)


@pytest.fixture(params=CASES, ids=repr)
def law(request):
    return fr.LogNormLaw(*request.param, VARIANCE)


def test_distribution_functions_absolutely(law):
    x = law.ppf(MIDDLE)
    assert np.abs(law.cdf(x) - exact(law, x)).max() < 1e-11
    assert np.abs(law.sf(x) - exact(law, x, upper=True)).max() < 1e-11


def test_tails_relatively(law):
    lower, upper = law.ppf(LOWER), law.ppf(1.0 - np.array(UPPER))
    assert np.abs(law.cdf(lower) / exact(law, lower) - 1).max() < 1e-6
    assert np.abs(law.sf(upper) / exact(law, upper, upper=True) - 1).max() < 1e-6


def test_small_outputs_with_dead_networks(law):
    eps = np.exp(law.ppf([1e-9, 0.5]))
    alive = (1 - float(oracle.death(law.width, law.activation))) ** law.depth
    expected = 1 - alive + alive * exact(law, np.log(eps))
    np.testing.assert_allclose(law.small_output_probability(eps), expected, rtol=1e-6, atol=0)


def test_power(law):
    """A variance off by 1e-9 is seen by the absolute check, one off by 1e-4 by the relative one."""
    nearly = fr.LogNormLaw(law.depth, law.width, law.activation, VARIANCE * (1 + 1e-9))
    x = law.ppf(MIDDLE)
    assert np.abs(nearly.cdf(x) - exact(law, x)).max() > 1e-11
    off = fr.LogNormLaw(law.depth, law.width, law.activation, VARIANCE * (1 + 1e-4))
    lower = law.ppf(LOWER)
    assert np.abs(off.cdf(lower) / exact(law, lower) - 1).min() > 1e-6
