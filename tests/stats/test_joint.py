"""Curves of paired differences: enumeration by hand, scipy's permutation test, error rates over 200 seeds."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.stats import joint

BY_HAND = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, -1.0]])


def experiment(seed, pairs=10, points=30):
    """Heavy-tailed curves without a difference, whose points are correlated and unequal in size."""
    rng = np.random.default_rng([11, seed])
    noise = np.cumsum(rng.standard_t(3, (pairs, points)), axis=1)
    return noise + 3 * rng.standard_t(3, (pairs, points))


def test_three_pairs_are_enumerated_by_hand():
    # Sums over √(3·14) and √(3·2): +++ gives 6 and 0, ++- 0 and 2, +-+ 2 and -2, +-- -4 and 0.
    # The largest |cosines| of the four patterns are therefore 0.926, 0.816, 0.816 and 0.617.
    found = joint.curve_difference(BY_HAND)
    assert (found.p_value, found.flips, found.exact, found.pairs) == (1 / 4, 4, True, 3)
    assert found.adjusted.tolist() == [1 / 4, 1.0]
    # The same three curves with the last one turned round: the second column's 0.816 is now the maximum.
    turned = joint.curve_difference(BY_HAND * [[1.0], [1.0], [-1.0]])
    assert turned.adjusted.tolist() == [1.0, 3 / 4]
    # At level 1/4 the critical cosine is the second largest, 2/√6, whose t is √2·√(2/3)/√(1/3) = 2.
    assert joint.curve_difference(BY_HAND, confidence=0.75).critical == pytest.approx(2.0, rel=1e-12)
    # Four patterns never reach the level 0.05.
    assert np.isinf(found.low).all()
    assert math.isinf(found.critical)


def test_the_statistic_is_students_and_the_law_that_of_all_signs():
    curves = np.random.default_rng(2).normal(0.4, 1, (7, 4))
    found = joint.curve_difference(curves)
    np.testing.assert_allclose(found.t, stats.ttest_1samp(curves, 0).statistic, rtol=1e-12)
    # The other route: scipy's t for each of the 128 patterns, both signs counted.
    patterns = itertools.product([1.0, -1.0], repeat=7)
    largest = [np.abs(stats.ttest_1samp(np.array([s]).T * curves, 0).statistic).max() for s in patterns]
    observed = np.abs(found.t).max()
    assert found.p_value == np.mean([value >= observed * (1 - 1e-9) for value in largest])


@pytest.mark.parametrize("seed", range(5))
def test_the_band_and_the_adjusted_p_values_say_the_same(seed):
    curves = experiment(seed) + 6.0 * (np.arange(30) < 5)
    found = joint.curve_difference(curves)
    outside = (found.low > 0) | (found.high < 0)
    assert outside.tolist() == (found.adjusted <= 0.05).tolist()
    assert found.p_value == found.adjusted.min()


def test_drawn_patterns_agree_with_all_of_them():
    curves = experiment(3, pairs=12)
    every = joint.curve_difference(curves)
    drawn = joint.curve_difference(curves, draws=2000, seed=5)
    assert every.exact
    assert not drawn.exact
    assert drawn.flips == 2001
    # Standard error at most 0.0112; 4 of them are a false alarm in 16 000.
    assert abs(every.p_value - drawn.p_value) < 4 * 0.0112
    assert joint.curve_difference(curves, draws=2000, seed=5).p_value == drawn.p_value


def rejections(statistic):
    """How many of 200 experiments without a difference are rejected at 0.05."""
    return sum(statistic(experiment(seed)) for seed in range(200))


def test_false_alarms_over_200_seeds_come_at_the_stated_rate():
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.05)  # left with probability 0.001
    assert low <= rejections(lambda x: joint.curve_difference(x).p_value <= 0.05) <= high
    assert low <= rejections(lambda x: joint.curve_difference(x, draws=200).p_value <= 0.05) <= high
    # Control: looking at every epoch by itself, the test that the joint one replaces, gives the alarm often.
    assert rejections(lambda x: (stats.ttest_1samp(x, 0).pvalue <= 0.05).any()) > high


def test_a_lead_at_some_points_leaves_the_others_their_rate():
    # A lead of three standard deviations in the first five points; the band must spare the other 25.
    lead = 12.0 * (np.arange(30) < 5)
    high = stats.binom.ppf(0.999, 200, 0.05)
    wrong = found = 0
    for seed in range(200):
        curve = joint.curve_difference(experiment(seed) + lead)
        wrong += (curve.adjusted[5:] <= 0.05).any()
        found += (curve.adjusted[:5] <= 0.05).any()
    assert wrong <= high
    assert found >= 190


def test_power_is_that_of_direct_simulation():
    rng = np.random.default_rng(8)
    curves, lead = rng.normal(0, 2, (10, 20)), 1.5 * (np.arange(20) < 3)
    stated = joint.curve_power(curves, lead)
    direct = np.mean(
        [joint.curve_difference(rng.normal(0, 1, (10, 20)) + lead).p_value <= 0.05 for _ in range(200)]
    )
    # Each has a standard error of at most 0.035; resampling ten pairs adds about as much.
    assert 0.5 < direct < 1.0
    assert abs(stated - direct) < 0.2
    assert joint.curve_power(curves, 0 * lead) <= stats.binom.ppf(0.999, 200, 0.05) / 200
    assert joint.curve_power(curves, lead / 10) < 0.2  # control: a tenth of the lead is not found


def test_an_incomplete_pair_is_counted_and_left_out():
    curves = experiment(1)
    broken = np.vstack([curves, curves[:1]])
    broken[-1, 7] = math.nan
    found, expected = joint.curve_difference(broken), joint.curve_difference(curves)
    assert (found.lost, found.pairs) == (1, 10)
    assert found.adjusted.tolist() == expected.adjusted.tolist()


def test_columns_without_spread():
    same = joint.curve_difference(np.column_stack([np.full(6, 0.3), np.zeros(6)]))
    assert same.t.tolist() == [math.inf, 0.0]
    assert same.adjusted.tolist() == [1 / 32, 1.0]


def test_epochs_are_columns_and_seeds_are_rows():
    rows = [
        {"scheme": scheme, "seed": seed, "epoch": epoch, "train_loss": 100 * epoch + 10 * seed + len(scheme)}
        for scheme in ("bbb", "a")
        for seed in (4, 2)
        for epoch in (1, 2)
    ]
    rows[0]["train_loss"] += 5  # scheme bbb, seed 4, epoch 1
    found = joint.epoch_differences(pd.DataFrame(rows), "train_loss", "bbb", "a")
    assert found.loc[4].tolist() == [7, 2]
    assert found.loc[2].tolist() == [2, 2]
    with pytest.raises(ValueError, match="second = 'c'"):
        joint.epoch_differences(pd.DataFrame(rows), "train_loss", "a", "c")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: joint.curve_difference([1.0, 2.0]), "shape"),
        (lambda: joint.curve_difference([[1.0], [math.nan]]), "1 complete pairs"),
        (lambda: joint.curve_difference(BY_HAND, confidence=1.0), "confidence"),
        (lambda: joint.curve_difference(BY_HAND, draws=0), "draws"),
        (lambda: joint.curve_difference(BY_HAND, seed=-1), "seed"),
        (lambda: joint.curve_power(BY_HAND, [1.0]), "alternative"),
        (lambda: joint.curve_power(BY_HAND, [1.0, 1.0], level=0.0), "level"),
        (lambda: joint.curve_power(BY_HAND, [1.0, 1.0], repeats=0), "repeats"),
        (lambda: joint.epoch_differences(pd.DataFrame(), "seconds", "a", "b"), "figure"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
