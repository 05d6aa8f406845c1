"""Power from a pilot: integrals by a second route, and what 200 pilots promise and keep."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from fracrepro.stats.paired import detectable_difference
from fracrepro.stats.pilots import Pilot, difference_power


def second_route(n, delta, level):
    """The power given the sample's spread, averaged over its law, in mpmath."""
    with mpmath.workdps(25):
        nu, t = n - 1, mpmath.mpf(float(stats.t.isf(level / 2, n - 1)))
        centre = mpmath.mpf(delta) * mpmath.sqrt(n)

        def term(x):  # x has the chi law
            law = (
                2
                * (x**2 / 2) ** (mpmath.mpf(nu) / 2)
                * mpmath.exp(-(x**2) / 2)
                / mpmath.gamma(mpmath.mpf(nu) / 2)
                / x
            )
            u = x / mpmath.sqrt(nu)
            return law * (mpmath.ncdf(centre - t * u) + mpmath.ncdf(-centre - t * u))

        root = math.sqrt(nu)
        return float(mpmath.quad(term, [mpmath.mpf("1e-30"), root / 2, root, root + 3, root + 12]))


@pytest.mark.parametrize(
    ("n", "delta", "level"), [(3, 1.0, 0.05), (10, 0.5, 0.05), (20, -0.8, 0.01), (40, 0.0, 0.2)]
)
def test_power_agrees_with_an_average_over_the_spread(n, delta, level):
    assert difference_power(n, delta, level=level) == pytest.approx(second_route(n, delta, level), rel=1e-11)


def test_power_is_the_inverse_of_the_detectable_difference():
    for n in (3, 10, 60):
        delta = detectable_difference(n, level=0.02, power=0.7)
        assert difference_power(n, delta, level=0.02) == pytest.approx(0.7, rel=1e-9)


def test_the_bound_of_the_spread_holds_as_often_as_it_says():
    bounds = [
        Pilot(6, np.random.default_rng([19, k]).normal(0, 2, 6).std(ddof=1)).upper(0.8) for k in range(200)
    ]
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.8)
    assert low <= sum(bound >= 2 for bound in bounds) <= high


def test_what_is_planned_from_200_pilots_has_its_power_as_often_as_it_says():
    """The true deviation is 1; each pilot of 10 pairs plans for a difference of 0.6 and a power of 0.8."""

    def kept(uncertain):
        pilots = [Pilot(10, np.random.default_rng([23, k]).normal(0, 1, 10).std(ddof=1)) for k in range(200)]
        return sum(difference_power(p.pairs_for(0.6, uncertain=uncertain), 0.6) >= 0.8 for p in pilots)

    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.8)
    # Whole pairs are rounded up, which adds a few that keep it.
    assert low <= kept(uncertain=True) <= high + 6
    # Control: the pilot's deviation taken for the true one keeps the promise in about half of the cases.
    assert kept(uncertain=False) < low


def test_the_mean_power_is_the_mean_over_the_law_of_the_spread():
    pilot, nu = Pilot(8, 1.5), 7
    with mpmath.workdps(20):

        def term(x):  # chi-squared
            law = (
                x ** (mpmath.mpf(nu) / 2 - 1)
                * mpmath.exp(-x / 2)
                / (2 ** (mpmath.mpf(nu) / 2) * mpmath.gamma(nu / mpmath.mpf(2)))
            )
            return law * difference_power(12, float(1.2 / 1.5 * mpmath.sqrt(x / nu)))

        expected = float(mpmath.quad(term, [0, 3, 7, 15, 40, 120]))
    assert pilot.mean_power(12, 1.2) == pytest.approx(expected, rel=1e-11)
    # Drawn: standard error below 0.004.
    deviations = 1.5 * np.sqrt(nu / np.random.default_rng(0).chisquare(nu, 4000))
    drawn = np.mean([difference_power(12, 1.2 / deviation) for deviation in deviations])
    assert pilot.mean_power(12, 1.2) == pytest.approx(drawn, abs=4 * 0.004)
    assert pilot.mean_power(12, 1.2) < pilot.power(12, 1.2, confidence=None)


def test_equivalence_is_planned_at_the_bound_too():
    pilot = Pilot(10, 1.0)
    sure, hoped = (pilot.equivalence_power(30, 0.8, confidence=c) for c in (0.8, None))
    assert 0 < sure < hoped < 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Pilot(1, 1.0), "pairs = 1"),
        (lambda: Pilot(5, 0.0), "deviation = 0"),
        (lambda: Pilot(5, 1.0).upper(1.0), "confidence = 1.0"),
        (lambda: Pilot(5, 1.0).power(1, 1.0), "pairs = 1"),
        (lambda: Pilot(5, 1.0).pairs_for(0.0), "difference = 0"),
        (lambda: difference_power(5, math.inf), "difference = inf"),
        (lambda: difference_power(5, 1.0, level=0), "level = 0"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
