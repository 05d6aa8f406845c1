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


@pytest.mark.parametrize("alpha", [0.7, 2.0])
def test_estimators_on_exact_power_tails(alpha):
    """300 Pareto samples, n = 500, k = 100: 95 % intervals cover in 88 to 99 % (4 binomial sd)."""
    rng = np.random.default_rng(9)
    samples = rng.pareto(alpha, (300, 500)) + 1.0
    for estimator in (fr.hill, fr.moment_estimator, fr.log_log_regression):
        found = [estimator(sample, 100) for sample in samples]
        assert 0.88 <= np.mean([e.low <= alpha <= e.high for e in found]) <= 0.99
        # Negative control: 2.5 α lies at least 2.5 standard errors off for each of the three.
        assert np.mean([e.low <= 2.5 * alpha <= e.high for e in found]) < 0.5


def test_extreme_value_index_tells_power_from_normal_and_bounded_tails():
    """γ = 1/2, about 0, and -1: 95 % intervals cover in 88 to 99 % of 300 where γ ≥ 0, and exclude others."""
    rng = np.random.default_rng(10)
    draws = {
        0.5: rng.pareto(2.0, (300, 500)) + 1.0,
        0.0: rng.pareto(1000.0, (300, 500)) + 1.0,  # γ = 0.001
        -1.0: 1.0 + rng.random((300, 500)),
    }
    shares = {
        gamma: np.mean([low <= gamma <= high for _, low, high in map(_evi, samples)])
        for gamma, samples in draws.items()
    }
    assert 0.88 <= shares[0.5] <= 0.99
    assert 0.88 <= shares[0.0] <= 0.99
    for samples, wrong in ((draws[0.5], 0.0), (draws[-1.0], 0.0)):  # the controls: another class of tails
        assert np.mean([low <= wrong <= high for _, low, high in map(_evi, samples)]) < 0.05
    one = draws[0.5][0]
    assert fr.moment_estimator(one, 100).index == pytest.approx(1 / _evi(one)[0], rel=1e-14)


def _evi(sample):
    return fr.extreme_value_index(sample, 100)


def test_stable_index_finds_the_index_and_is_fooled_by_unequal_scales():
    """40 000 draws, blocks of 50: five standard errors over 20 samples are below 0.1."""
    rng = np.random.default_rng(11)
    normal = [fr.stable_index(rng.standard_normal(40000), 50) for _ in range(20)]
    cauchy = [fr.stable_index(rng.standard_cauchy(40000), 50) for _ in range(20)]
    assert np.mean(normal) == pytest.approx(2.0, abs=0.1)
    assert np.mean(cauchy) == pytest.approx(1.0, abs=0.1)
    # Normal coordinates of unequal scale have no heavy tail, and yet the estimate is far from 2.
    scales = np.exp(3 * rng.standard_normal(40000))
    assert fr.stable_index(scales * rng.standard_normal(40000), 50) < 1.5
    assert fr.stable_index(np.tile([1.0, -0.5], 50), 2) == math.inf  # sums are not larger than their terms


def test_hill_is_biased_where_the_tail_is_not_a_power_and_the_stability_plot_shows_it():
    sample = np.abs(np.random.default_rng(8).standard_t(2, 20000))
    plot = fr.stability_plot(sample, [100, 400, 8000])
    assert plot.low[0] < 2 < plot.high[0]
    assert plot.high[2] < 2


def test_a_stable_law_near_two_looks_lighter_than_one_half_and_not_normal():
    """The check "above one half", page 11's first one, misses α = 1.9; the comparison with it does not."""
    rng = np.random.default_rng(4)
    found = {
        alpha: tails.stable_tail_estimates(alpha, 20_000, 1000, samples=30, rng=rng)
        for alpha in (1.0, 1.5, 1.9, 2.0)
    }
    for alpha in (1.0, 1.5):  # the tail is within reach: γ = 1/α, standard error √(1 + γ²)/√(30·1000)
        assert found[alpha].mean() == pytest.approx(1 / alpha, abs=0.04)
    assert found[1.9].max() < 0.55
    assert found[1.9].mean() < 0.5 - 3 * found[1.9].std() / math.sqrt(30)  # though 1/1.9 = 0.53
    assert found[1.9].min() > found[2.0].max()  # the control: normal samples are told from them
    assert found[2.0].max() < 0.05


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 2.1}, "alpha"),
        ({"size": 2}, "size"),
        ({"k": 100}, "k"),
        ({"samples": 0}, "samples"),
    ],
)
def test_stable_samples_refuse_what_they_cannot_draw(chosen, name):
    arguments = {"alpha": 1.5, "size": 100, "k": 10, "samples": 1, "rng": np.random.default_rng(0)} | chosen
    alpha, size, k = (arguments.pop(key) for key in ("alpha", "size", "k"))
    with pytest.raises(ArgumentError, match=f"^{name} = "):
        tails.stable_tail_estimates(alpha, size, k, **arguments)
