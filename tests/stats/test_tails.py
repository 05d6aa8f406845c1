"""Estimators of a tail index: closed forms, coverage of intervals, laws they must tell apart, refusals."""

import math

import numpy as np
import pytest
from scipy import special, stats

import fracrepro as fr
from fracrepro.errors import ArgumentError
from fracrepro.stats import tails

# Powers of exact spacings: the log-excesses over the smallest are 1, 2, 4 and 9 halves.
SAMPLE = np.exp([0.0, 0.5, 1.0, 2.0, 4.5])


def test_hill_by_hand():
    found = fr.hill(SAMPLE, 4, level=0.9)
    assert found.index == pytest.approx(1 / 2.0)  # the mean of 1/2, 1, 2, 9/2
    # 2·(sum of excesses)·α is chi-squared with 2k degrees of freedom.
    low, high = stats.chi2.ppf([0.05, 0.95], 8) / (2 * 8.0)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.k == 4
    assert fr.hill(SAMPLE, 2).index == pytest.approx(1 / 2.25)  # over log X = 1: the mean of 1 and 7/2


def test_the_extreme_value_index_by_hand():
    gamma, low, high = fr.extreme_value_index(SAMPLE, 4, level=0.9)
    first, second = 2.0, (0.25 + 1 + 4 + 20.25) / 4
    expected = first + 1 - 0.5 / (1 - first**2 / second)
    assert gamma == pytest.approx(expected)
    half = stats.norm.ppf(0.95) * math.sqrt((1 + expected**2) / 4)
    assert (low, high) == (pytest.approx(expected - half), pytest.approx(expected + half))
    inverse = fr.moment_estimator(SAMPLE, 4, level=0.9)
    assert inverse.index == pytest.approx(1 / expected)
    assert inverse.low == pytest.approx(1 / (expected + half))
    assert inverse.high == (math.inf if expected < half else pytest.approx(1 / (expected - half)))


def test_a_bounded_law_has_no_power_tail():
    found = fr.moment_estimator(np.linspace(0.5, 1, 1001), 100)
    assert (found.index, found.high) == (math.inf, math.inf)
    assert found.low > 5


def test_the_regression_is_the_least_squares_slope():
    found = fr.log_log_regression(SAMPLE, 4, level=0.9)
    slope = -np.polyfit([4.5, 2.0, 1.0, 0.5], np.log([0.5, 1.5, 2.5, 3.5]), 1)[0]
    assert found.index == pytest.approx(slope)
    half = stats.norm.ppf(0.95) * slope * math.sqrt(2 / 4)
    assert (found.low, found.high) == (pytest.approx(max(slope - half, 0)), pytest.approx(slope + half))


@pytest.mark.parametrize("estimator", tails.ESTIMATORS)
def test_intervals_cover_the_index_of_a_power_tail_as_often_as_stated(estimator):
    # 400 Pareto samples of 4000, index 1.5, the upper tenth; 0.9 of the intervals, within 4 standard errors.
    # Another 0.015 is for the asymptotics: 4000 samples of another seed are covered with 0.907, 0.886, 0.905.
    rng = np.random.default_rng(12)
    found = [tails.ESTIMATORS[estimator](rng.random(4000) ** (-1 / 1.5), 400, level=0.9) for _ in range(400)]
    covered = {index: np.mean([each.low <= index <= each.high for each in found]) for index in (1.5, 2.0)}
    assert abs(covered[1.5] - 0.9) < 0.015 + 4 * math.sqrt(0.09 / 400)
    assert covered[2.0] < 0.2


def test_a_scale_changes_nothing():
    sample = np.random.default_rng(0).random(200) ** -0.7
    for estimator in tails.ESTIMATORS.values():
        assert estimator(1000 * sample, 40).index == pytest.approx(estimator(sample, 40).index, rel=1e-10)


def test_the_stability_plot_holds_the_single_estimates():
    sample, ks = np.random.default_rng(0).random(300) ** -1.0, [10, 50, 299]
    for name, estimator in tails.ESTIMATORS.items():
        plot = fr.stability_plot(sample, ks, name, level=0.8)
        for i, k in enumerate(ks):
            one = estimator(sample, k, level=0.8)
            assert (plot.k[i], plot.index[i], plot.low[i], plot.high[i]) == (k, one.index, one.low, one.high)


def test_the_stable_index_of_cauchy_and_normal_samples():
    # 2·10⁵ values in blocks of 10: the standard error of 1/α̂ is below 0.01, so of α̂ below 0.04 at 2.
    rng = np.random.default_rng(1)
    assert fr.stable_index(rng.standard_cauchy(200_000), 10) == pytest.approx(1, abs=0.04)
    assert fr.stable_index(rng.standard_normal(200_000), 10) == pytest.approx(2, abs=0.16)
    # Dependence makes it meaningless: alternating signs make sums no larger than their terms.
    assert fr.stable_index(np.tile([3.0, -1.0, -1.0, -0.5], 5), 4) == math.inf


def test_hills_interval_is_that_of_the_gamma_law():
    found = fr.hill(SAMPLE, 4, level=0.99)
    assert special.gammainc(4, 4 * found.low * 2.0) == pytest.approx(0.005)
    assert special.gammainc(4, 4 * found.high * 2.0) == pytest.approx(0.995)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: fr.hill(SAMPLE, 0), "k"),
        (lambda: fr.hill(SAMPLE, 5), "k"),
        (lambda: fr.hill(SAMPLE, 2.0), "k"),
        (lambda: fr.hill([1.0], 1), "sample"),
        (lambda: fr.hill([1.0, 0.0], 1), "sample"),
        (lambda: fr.hill([1.0, math.nan], 1), "sample"),
        (lambda: fr.hill([[1.0, 2.0]], 1), "sample"),
        (lambda: fr.hill(np.ones(5), 2), "sample"),
        (lambda: fr.hill(SAMPLE, 2, level=1.0), "level"),
        (lambda: fr.extreme_value_index(SAMPLE, 1), "k"),
        (lambda: fr.extreme_value_index([1.0, 2.0, 2.0], 2), "sample"),
        (lambda: fr.log_log_regression(SAMPLE, 2), "k"),
        (lambda: fr.log_log_regression([1.0, 2.0, 2.0, 2.0], 3), "sample"),
        (lambda: fr.stability_plot(SAMPLE, [1], "pickands"), "estimator"),
        (lambda: fr.stability_plot(SAMPLE, [0]), "ks"),
        (lambda: fr.stable_index(SAMPLE, 1), "block"),
        (lambda: fr.stable_index([1.0, 0.0], 2), "sample"),
        (lambda: fr.stable_index([1.0, -1.0], 2), "sample"),
        (lambda: fr.stable_index([1.0], 2), "sample"),
    ],
)
def test_bad_input_is_refused(call, name):
    with pytest.raises(ArgumentError, match=f"^{name}"):
        call()
