"""Two one-sided tests: scipy's tests, the power by a second integral, error rates over 200 seeds."""

import math

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.stats import equivalence as eq


def pair(seed, pairs=12, mean=0.0):
    rng = np.random.default_rng([3, seed])
    second = pd.Series(rng.normal(0, 3, pairs))
    return second + rng.normal(mean, 1, pairs), second


@pytest.mark.parametrize("margin", [0.2, 0.7, 2.0])
def test_both_tests_are_scipys_and_the_interval_says_the_same(margin):
    first, second = pair(1)
    found = eq.equivalence(first, second, margin, level=0.1)
    d = first - second
    assert found.p_above == pytest.approx(
        stats.ttest_1samp(d, -margin, alternative="greater").pvalue, rel=1e-11
    )
    assert found.p_below == pytest.approx(stats.ttest_1samp(d, margin, alternative="less").pvalue, rel=1e-11)
    interval = stats.ttest_1samp(d, 0).confidence_interval(0.8)
    assert found.equivalent == (-margin < interval.low and interval.high < margin)


def test_pairs_are_matched_by_seed_and_incomplete_ones_are_counted():
    first, second = pair(2)
    expected = eq.equivalence(first, second, 0.5)
    assert eq.equivalence(first.sample(frac=1, random_state=3), second, 0.5) == expected
    first[99], second[99] = math.nan, 1.0
    assert eq.equivalence(first, second, 0.5).p_value == expected.p_value
    assert eq.equivalence(first, second, 0.5).difference.lost == 1


def test_without_spread_and_without_pairs():
    zero = pd.Series(np.zeros(4))
    assert eq.equivalence(zero + 0.5, zero, 1.0).p_value == 0.0
    assert eq.equivalence(zero + 1.0, zero, 1.0).p_value == 1.0  # at the margin is not inside
    assert eq.equivalence(zero[:1], zero[:1], 1.0).p_value == 1.0


def second_route(n, margin, delta, level):
    """Condition on the mean instead of on the spread, in mpmath: the spread then has a chi-squared law."""
    with mpmath.workdps(25):
        nu, root = n - 1, mpmath.sqrt(n)
        # The quantile is an input, taken to double precision as there.
        t = mpmath.mpf(float(stats.t.isf(level, nu)))
        edge = root * margin

        def term(y):  # y = √n times the mean
            u2 = ((edge - abs(y)) / t) ** 2
            return mpmath.npdf(y - root * delta) * mpmath.gammainc(nu / mpmath.mpf(2), 0, nu * u2 / 2, True)

        inner = sorted(
            {-edge, 0, edge, *(x for x in (root * delta + k for k in (-6, 0, 6)) if abs(x) < edge)}
        )
        return float(mpmath.quad(term, inner))


@pytest.mark.parametrize(
    ("n", "margin", "delta", "level"),
    [
        (2, 5.0, 0.0, 0.05),
        (3, 1.0, 0.3, 0.05),
        (10, 1.0, 0.0, 0.05),
        (20, 0.8, 0.5, 0.01),
        (64, 0.4, -0.4, 0.1),
    ],
)
def test_power_agrees_with_a_second_integral(n, margin, delta, level):
    found = eq.equivalence_power(n, margin, delta, level=level)
    assert found == pytest.approx(second_route(n, margin, delta, level), rel=1e-11)


def test_level_and_power_over_200_seeds():
    def rate(mean, claim):
        return sum(claim(*pair(seed, 12, mean)) for seed in range(200))

    def equivalent(first, second):
        return eq.equivalence(first, second, 1.0).equivalent

    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.05)
    assert low <= rate(1.0, equivalent) <= high
    power = eq.equivalence_power(12, 1.0)
    assert 0.85 < power < 0.95
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, power)
    assert low <= rate(0.0, equivalent) <= high
    # Control: "no significant difference" is taken for equivalence within half a standard deviation.
    assert rate(0.5, lambda first, second: eq.equivalence(first, second, 0.5).equivalent) <= stats.binom.ppf(
        0.9995, 200, 0.05
    )
    wrong = rate(0.5, lambda first, second: stats.ttest_rel(first, second).pvalue > 0.05)
    assert wrong > stats.binom.ppf(0.9995, 200, 0.05)


def test_the_number_of_pairs_is_the_smallest_one():
    for margin, delta in ((0.5, 0.0), (1.0, 0.5)):
        n = eq.equivalent_pairs(margin, delta, level=0.025, power=0.9)
        power = [eq.equivalence_power(k, margin, delta, level=0.025) for k in (n - 1, n)]
        assert power[0] < 0.9 <= power[1]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"equivalent": True, "different": True, "mean": 0.1}, "equivalent within the margin"),
        ({"equivalent": False, "different": True, "mean": 0.1}, "better"),
        ({"equivalent": False, "different": True, "mean": 0.1, "higher_is_better": False}, "worse"),
        ({"equivalent": False, "different": True, "mean": -0.1}, "worse"),
        (
            {"equivalent": False, "different": False, "mean": -0.1},
            "not known, a difference of 0.5 would have been seen",
        ),
        (
            {"equivalent": False, "different": False, "mean": 0.0, "detectable": math.nan},
            "not known, no difference would have been seen",
        ),
    ],
)
def test_the_words(facts, words):
    assert eq.verdict(**{"detectable": 0.5} | facts) == words


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eq.equivalence(*pair(0), 0.0), "margin = 0"),
        (lambda: eq.equivalence(*pair(0), 1.0, level=0.5), "level = 0.5"),
        (lambda: eq.equivalence(pair(0)[0], pair(0, 5)[0], 1.0), "same seeds"),
        (lambda: eq.equivalence_power(1, 1.0), "pairs = 1"),
        (lambda: eq.equivalence_power(5, -1.0), "margin"),
        (lambda: eq.equivalence_power(5, 1.0, math.nan), "difference"),
        (lambda: eq.equivalent_pairs(1.0, 1.0), "difference = 1.0"),
        (lambda: eq.equivalent_pairs(1.0, power=1.0), "power = 1.0"),
        (lambda: eq.least_pairs(lambda n: 0.0, 0.5), "pairs"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
