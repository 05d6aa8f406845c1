"""The mean test keeps its false alarm rate, has its stated power, and refuses what it cannot test."""

import math

import numpy as np
import pytest
from scipy import stats

import fracrepro as fr
from fracrepro.stats.means import mean_test, spread_test


def layer_powers(seed, variance, s=1.0, width=16, size=2000):
    """(σR)^s of one layer, the sample that the notebooks test."""
    logs = fr.simulate_log_norms(size, 1, width, fr.ReLU(), variance, rng=np.random.default_rng(seed))[:, 1]
    return np.exp(s * logs)


def test_false_alarms_over_200_seeds_agree_with_the_level():
    # Binomial(200, 0.05) leaves [1, 23] with the probability asserted below, from its exact tails.
    right = fr.critical_variance(1.0, 16, fr.ReLU())
    alarms = sum(mean_test(layer_powers(seed, right), 1.0, level=0.05).rejected for seed in range(200))
    assert stats.binom.cdf(0, 200, 0.05) + stats.binom.sf(23, 200, 0.05) < 2e-4
    assert 1 <= alarms <= 23


def test_the_wrong_variance_is_rejected_as_often_as_the_power_says():
    # Kaiming's variance at s = 1 shifts the mean by 4 %, about 6 standard errors: the control must fail.
    right, wrong = fr.critical_variance(1.0, 16, fr.ReLU()), fr.critical_variance(2.0, 16, fr.ReLU())
    outcomes = [mean_test(layer_powers(seed, wrong), 1.0, level=0.05) for seed in range(200)]
    power = outcomes[0].power(math.sqrt(wrong / right))
    rejections = sum(outcome.rejected for outcome in outcomes)
    assert power > 0.99
    assert rejections >= stats.binom.ppf(1e-4, 200, power)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05])
def test_power_against_simulation(shift):
    # 4000 tests of 400 normal values: standard error of the rate at most 0.008, and 4 of them are allowed.
    rng = np.random.default_rng(5)
    tests = [mean_test(row, 0.0, level=0.05) for row in rng.normal(shift, 0.4, (4000, 400))]
    rate = np.mean([test.rejected for test in tests])
    assert abs(rate - np.mean([test.power(shift) for test in tests])) < 0.032


def test_interval_and_rejection_are_two_views_of_one_test():
    sample = np.random.default_rng(2).normal(0.1, 1, 500)
    for expected in np.linspace(-0.2, 0.4, 31):
        test = mean_test(sample, float(expected), level=0.01)
        low, high = test.interval
        assert test.rejected == (not low <= expected <= high)


def test_a_sample_without_spread():
    assert not mean_test(np.ones(5), 1.0).rejected
    assert mean_test(np.ones(5), 1.5).rejected
    assert mean_test(np.ones(5), 1.0).power(2.0) == 1.0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (([1.0], 0.0), "sample"),
        (([[1.0, 2.0]], 0.0), "sample"),
        (([1.0, math.nan], 0.0), "sample"),
        (([1.0, 2.0], math.inf), "expected"),
    ],
)
def test_bad_input_is_refused(arguments, name):
    with pytest.raises(ValueError, match=name):
        mean_test(*arguments)
    with pytest.raises(ValueError, match="level"):
        mean_test([1.0, 2.0], 0.0, level=1.0)


def test_the_spread_of_normal_values_is_rejected_at_its_level_and_with_its_power():
    """1000 samples of 30: false alarms at 5 %, and standard deviations 1.4 and 0.7 times as large."""
    rng = np.random.default_rng(31)
    samples = rng.standard_normal((1000, 30))
    for factor in (1.0, 1.4, 0.7):
        tests = [spread_test(factor * sample, 1.0) for sample in samples]
        rejected = sum(test.p_value < 0.05 for test in tests)
        wanted = tests[0].power(factor, level=0.05) if factor != 1.0 else 0.05
        assert stats.binomtest(rejected, 1000, wanted).pvalue > 1e-3, factor
    assert stats.binomtest(50, 1000, tests[0].power(1.4, level=0.05)).pvalue < 1e-9  # the control


def test_the_spread_needs_two_values():
    assert spread_test([], 1.0).p_value == spread_test([3.0], 1.0).p_value == 1.0
    assert spread_test([-2.0, 2.0], 1.0).spread == 2.0
    for wrong, named in (
        (lambda: spread_test([[1.0]], 1.0), "sample"),
        (lambda: spread_test([1.0], 0.0), "exp"),
    ):
        with pytest.raises(ValueError, match=named):
            wrong()
