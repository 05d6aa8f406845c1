"""Tests of counts and distributions: p-values and power by enumeration, and the rates that are stated."""

import math

import numpy as np
import pytest
from scipy import stats

from fracrepro.errors import ArgumentError
from fracrepro.stats import binomial_test, hill, hill_power, kolmogorov_power_bound, kolmogorov_test


def binomial_probabilities(size, p):
    """By math.comb, without scipy."""
    return [math.comb(size, k) * p**k * (1 - p) ** (size - k) for k in range(size + 1)]


@pytest.mark.parametrize("size", [1, 5, 12])
@pytest.mark.parametrize("expected", [0.1, 0.5, 2 / 3])
@pytest.mark.parametrize("level", [0.05, 0.3, 0.9])
def test_the_binomial_test_and_its_power_by_enumeration(size, expected, level):
    likelihood = binomial_probabilities(size, expected)
    p_values = [math.fsum(q for q in likelihood if q <= own * (1 + 1e-7)) for own in likelihood]
    tests = [binomial_test(count, size, expected, level=level) for count in range(size + 1)]
    assert [test.p_value for test in tests] == pytest.approx(p_values, rel=1e-12)
    for truth in (0.0, 0.2, expected, 1.0):
        weights = binomial_probabilities(size, truth)
        power = math.fsum(w for w, test in zip(weights, tests, strict=True) if test.rejected)
        assert tests[0].power(truth) == pytest.approx(power, abs=1e-14)
    assert tests[0].power(expected) <= level + 1e-12


def test_equally_likely_counts_are_rejected_together():
    # At 1/2, 0 and 5 of 5 have 1/32 each: both are rejected at a level of 1/16 and none just below.
    assert binomial_test(0, 5, 0.5, level=0.0625).power(0.5) == pytest.approx(1 / 16)
    assert binomial_test(0, 5, 0.5, level=0.06).power(0.5) == 0.0


@pytest.mark.parametrize("truth", [0.3, 0.34])
def test_binomial_rejections_over_2000_seeds_are_as_frequent_as_stated(truth):
    # The number of rejections is binomial with the stated power; its exact 0.9999 interval must hold it.
    counts = np.random.default_rng(6).binomial(400, truth, 2000)
    tests = [binomial_test(int(count), 400, 0.3, level=0.05) for count in counts]
    rejections = sum(test.rejected for test in tests)
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], 2000, tests[0].power(truth))
    assert low <= rejections <= high
    other = tests[0].power(0.37 - truth + 0.3)  # the control: the power at another probability misses
    assert not low <= 2000 * other <= high


def test_the_kolmogorov_test_of_one_value_by_hand():
    # For one value u of the uniform law the distance is max(u, 1 - u), and P(D > d) = 2(1 - d).
    found = kolmogorov_test([0.1], lambda x: x, level=0.2)
    assert found.distance == pytest.approx(0.9)
    assert found.p_value == pytest.approx(0.2)
    assert kolmogorov_test([0.09], lambda x: x, level=0.2).rejected
    assert not kolmogorov_test([0.11], lambda x: x, level=0.2).rejected


def test_nothing_to_test_rejects_nothing():
    found = kolmogorov_test([], lambda x: x)
    assert (found.p_value, found.size, found.rejected) == (1.0, 0, False)
    assert kolmogorov_power_bound([0.0], [1.0], 0) == 0.0


def test_the_bound_for_one_value_by_hand():
    # The band for one value at level 0.2 is 0.9 wide on either side: it excludes 1 below 0.1, 0 above 0.9.
    assert kolmogorov_power_bound([0.05], [0.7], 1, level=0.2) == pytest.approx(0.7)
    assert kolmogorov_power_bound([0.97], [0.4], 1, level=0.2) == pytest.approx(0.6)
    assert kolmogorov_power_bound([0.5], [0.9], 1, level=0.2) == 0.0
    # The point of largest difference decides, not the first one.
    assert kolmogorov_power_bound([0.5, 0.05], [0.5, 0.7], 1, level=0.2) == pytest.approx(0.7)


@pytest.mark.parametrize("size", [2, 7, 40])
def test_the_bound_by_enumeration_over_counts(size):
    # At one point the empirical distribution function is count/size; those outside the band are rejected.
    level, tested, truth = 0.05, 0.3, 0.6
    critical = stats.kstwo.isf(level, size)
    weights = binomial_probabilities(size, truth)
    outside = math.fsum(w for k, w in enumerate(weights) if abs(k / size - tested) > critical)
    assert kolmogorov_power_bound([tested], [truth], size, level=level) == pytest.approx(outside, abs=1e-13)


def test_the_bound_is_below_the_rate_of_rejections_and_not_trivial():
    # 1000 samples of 60 values of x², x uniform, against the uniform law: 4 standard errors are 0.063.
    x = np.linspace(0, 1, 401)
    bound = kolmogorov_power_bound(x, np.sqrt(x), 60, level=0.05)
    rng = np.random.default_rng(3)
    rates = [
        np.mean(
            [kolmogorov_test(rng.random(60) ** power, lambda x: x, level=0.05).rejected for _ in range(1000)]
        )
        for power in (2, 1)
    ]
    assert 0.5 < bound < rates[0] + 0.063
    low, high = stats.binom.ppf([5e-5, 1 - 5e-5], 1000, 0.05)
    assert low <= 1000 * rates[1] <= high


@pytest.mark.parametrize("k", [1, 3, 40])
def test_the_power_of_hills_test_against_a_sum_of_exponentials(k):
    """Shape k is an integer: P(gamma > x) = e^-x Σ x^j/j!, and the quantiles are checked on the way."""

    def above(x):
        return math.exp(-x) * math.fsum(x**j / math.factorial(j) for j in range(k))

    edges = stats.gamma.ppf([0.005, 0.995], k)
    assert [above(x) for x in edges] == pytest.approx([0.995, 0.005], rel=1e-9)
    for ratio in (0.5, 1.0, 2.0):
        expected = 1 - above(edges[0] * ratio) + above(edges[1] * ratio)
        assert hill_power(k, 1.5, 1.5 * ratio) == pytest.approx(expected, rel=1e-9)
    assert hill_power(k, 2.0, 2.0) == pytest.approx(0.01, rel=1e-9)


def test_hills_interval_rejects_as_often_as_stated():
    # 1000 samples of 500 Pareto values of index 1, k = 60; exact 0.9999 intervals of the rejections.
    rng = np.random.default_rng(9)
    found = [hill(1 / rng.random(500), 60, level=0.95) for _ in range(1000)]
    powers = []
    for hypothesis in (1.0, 1.3):
        rejections = sum(not each.low <= hypothesis <= each.high for each in found)
        powers.append(hill_power(60, hypothesis, 1.0, level=0.05))
        low, high = stats.binom.ppf([5e-5, 1 - 5e-5], 1000, powers[-1])
        assert low <= rejections <= high
    assert powers[1] > 0.4


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: binomial_test(6, 5, 0.5), "count"),
        (lambda: binomial_test(-1, 5, 0.5), "count"),
        (lambda: binomial_test(0, 0, 0.5), "size"),
        (lambda: binomial_test(0, 5, 1.1), "expected"),
        (lambda: binomial_test(0, 5, 0.5, level=0.0), "level"),
        (lambda: binomial_test(0, 5, 0.5).power(math.nan), "alternative"),
        (lambda: kolmogorov_test([[0.1]], lambda x: x), "sample"),
        (lambda: kolmogorov_test([math.inf], lambda x: x), "sample"),
        (lambda: kolmogorov_power_bound([0.1], [0.1, 0.2], 5), "tested"),
        (lambda: kolmogorov_power_bound([], [], 5), "tested"),
        (lambda: kolmogorov_power_bound([0.1], [0.2], -1), "size"),
        (lambda: hill_power(0, 1.0, 1.0), "k"),
        (lambda: hill_power(5, 0.0, 1.0), "hypothesis"),
        (lambda: hill_power(5, 1.0, math.inf), "truth"),
    ],
)
def test_bad_input_is_refused(call, name):
    with pytest.raises(ArgumentError, match=f"^{name} "):
        call()
