"""Shares: exact tests against enumeration and scipy, intervals against their tests, rates over 200 seeds."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from fracrepro.stats import shares


def runs(seed, first, second, pairs=40):
    """Independent runs that count with the given probabilities."""
    rng = np.random.default_rng([9, seed])
    return pd.Series(rng.random(pairs) < first), pd.Series(rng.random(pairs) < second)


def of_counts(b, c, n):
    return shares.share_difference(
        pd.Series([True] * b + [False] * (n - b)), pd.Series([False] * b + [True] * c + [False] * (n - b - c))
    )


def test_the_test_is_mcnemars_and_pairs_are_matched_by_seed():
    first, second = runs(1, 0.8, 0.4)
    found = shares.share_difference(first, second)
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    expected = min(1.0, 2 * stats.binom.cdf(min(b, c), b + c, 0.5))
    assert found.p_value == pytest.approx(expected, rel=1e-12)
    assert (found.only_first, found.only_second, found.pairs) == (b, c, 40)
    assert found.difference == pytest.approx(first.mean() - second.mean(), abs=1e-15)
    assert shares.share_difference(first.sample(frac=1, random_state=2), second) == found


@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 8), (3, 1, 12), (9, 0, 20), (0, 7, 7), (5, 5, 40)])
@pytest.mark.parametrize("delta", [-0.6, -0.1, 0.0, 0.25, 0.7])
def test_the_score_is_taken_at_the_most_likely_share(b, c, n, delta):
    """The other route: the likelihood of the three counts, maximized by scipy under the given difference."""
    low, high = max(0.0, -delta), (1 - delta) / 2

    def loss(q):
        p = q + delta
        parts = ((b, p), (c, q), (n - b - c, 1 - p - q))
        return -sum(k * np.log(max(x, 1e-300)) for k, x in parts if k)

    q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    q = min((low, float(q), high), key=loss)
    variance = n * (2 * q + delta - delta**2)
    found = shares._score(b, c, n, delta)
    if variance > 1e-9:
        assert found == pytest.approx((b - c - n * delta) / np.sqrt(variance), rel=2e-5, abs=1e-6)
    assert shares._score(c, b, n, -delta) == pytest.approx(-found, abs=1e-12)


def test_the_interval_and_the_equivalence_test_say_the_same():
    for b, c in itertools.product(range(0, 9, 2), repeat=2):
        found = shares.share_difference(*truths(b, c, 30), confidence=0.9)
        for margin in (0.1, 0.2, 0.4):
            inside = -margin < found.low and found.high < margin
            assert inside == (found.p_equivalent(margin) < 0.05)


def truths(b, c, n):
    return (
        pd.Series([True] * b + [False] * (n - b)),
        pd.Series([False] * b + [True] * c + [False] * (n - b - c)),
    )


def outcomes(n, p, q):
    """Every pair of counts and its probability, for independent runs."""
    one, other = p * (1 - q), q * (1 - p)
    for b in range(n + 1):
        for c in range(n + 1 - b):
            yield b, c, float(stats.multinomial.pmf([b, c, n - b - c], n, [one, other, 1 - one - other]))


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.9, 0.65), (0.3, 0.05)])
def test_the_interval_covers_by_enumeration(p, q):
    covered = sum(
        weight
        for b, c, weight in outcomes(30, p, q)
        if weight > 1e-9 and (lambda f: f.low <= p - q <= f.high)(of_counts(b, c, 30))
    )
    # The interval is asymptotic; at 30 pairs its exact coverage is this near to 0.95.
    assert 0.93 <= covered <= 0.98


def test_power_is_that_of_all_outcomes():
    for n, p, q in ((12, 0.9, 0.4), (9, 0.5, 0.5), (15, 1.0, 0.6)):
        expected = sum(weight for b, c, weight in outcomes(n, p, q) if of_counts(b, c, n).p_value <= 0.05)
        assert shares.share_power(n, p, q) == pytest.approx(expected, rel=1e-11)


def test_power_with_pairs_that_go_together():
    # A pair counts together or not at all, but for the runs that make the difference.
    alone = shares.share_power(40, 0.75, 0.5)
    together = shares.share_power(40, 0.75, 0.5, both=0.5)
    assert together > alone
    d = np.arange(41)
    exact = stats.binom.pmf(d, 40, 0.25) @ (2 * 0.5**d <= 0.05)  # all differing pairs are on one side
    assert together == pytest.approx(exact, rel=1e-12)


def test_level_and_power_over_200_seeds():
    def rate(first, second, pairs=62):
        found = (shares.share_difference(*runs(seed, first, second, pairs)) for seed in range(200))
        return sum(each.p_value <= 0.05 for each in found)

    assert rate(0.5, 0.5) <= stats.binom.ppf(0.999, 200, 0.05)
    power = shares.share_power(62, 0.75, 0.5)
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, power)
    assert low <= rate(0.75, 0.5) <= high
    # Control: a third of the pairs has not this power.
    assert rate(0.75, 0.5, 20) < low


def test_the_number_of_pairs_for_25_points():
    needed = {p: shares.share_pairs(p + 0.25, p) for p in (0.0, 0.25, 0.375, 0.75)}
    for p, n in needed.items():
        assert shares.share_power(n, p + 0.25, p) >= 0.8
        assert shares.share_power(n - 8, p + 0.25, p) < 0.8
    # Shares around one half need most; who knows nothing of the share takes their number.
    assert max(needed, key=needed.get) == 0.375


@pytest.mark.parametrize(("pairs", "second"), [(20, 0.0), (40, 0.3), (62, 0.5), (7, 0.2)])
def test_the_detectable_share_is_the_first_of_the_grid(pairs, second):
    found = shares.detectable_share(pairs, second)
    grid = np.arange(1, round(1000 * (1 - second)) + 1) / 1000
    powers = [shares.share_power(pairs, min(1.0, second + step), second) for step in grid[::10]]
    assert (np.diff(powers) >= -1e-12).all()  # what the search rests on
    enough = [step for step in grid if shares.share_power(pairs, min(1.0, second + step), second) >= 0.8]
    assert (found == enough[0]) if enough else np.isnan(found)
    assert np.isnan(shares.detectable_share(5, 0.0))  # five pairs never reach the level


@pytest.mark.parametrize("n", [5, 8])
def test_groups_reject_what_boschloos_test_of_scipy_rejects(n):
    rejected = np.zeros((n + 1, n + 1), bool)
    for a, b in itertools.product(range(n + 1), repeat=2):
        rejected[a, b] = shares.group_share_difference(a, n, b, n).p_value <= 0.05
    for p, q in ((0.2, 0.8), (0.5, 0.5), (0.9, 0.3)):
        law = np.outer(*(stats.binom.pmf(np.arange(n + 1), n, share) for share in (p, q)))
        assert shares.group_share_power(n, p, q) == pytest.approx(law[rejected].sum(), rel=1e-11)


def test_fishers_p_values_are_scipys():
    table = shares._fisher(6)
    for a, b in itertools.product(range(7), repeat=2):
        assert table[a, b] == pytest.approx(stats.fisher_exact([[a, b], [6 - a, 6 - b]])[1], rel=1e-11)


def test_the_interval_of_groups_is_newcombes_example():
    found = shares.group_share_difference(56, 70, 48, 80)  # Newcombe (1998), example (a), method 10
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_groups_keep_their_level_over_200_seeds():
    p = np.array(
        [
            shares.group_share_difference(
                int(np.random.default_rng([1, seed]).binomial(15, 0.5)),
                15,
                int(np.random.default_rng([2, seed]).binomial(15, 0.5)),
                15,
            ).p_value
            for seed in range(200)
        ]
    )
    assert (p <= 0.05).sum() <= stats.binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shares.share_difference(pd.Series([True]), pd.Series([True], index=[5])), "same seeds"),
        (lambda: shares.share_difference(pd.Series([1.0]), pd.Series([0.0])), "first: need True or False"),
        (lambda: shares.share_difference(*runs(0, 0.5, 0.5), confidence=1.0), "confidence"),
        (lambda: of_counts(1, 1, 5).p_equivalent(0.0), "margin = 0"),
        (lambda: shares.group_share_difference(1, 5, 1, 5).p_equivalent(0.1), "need pairs"),
        (lambda: shares.group_share_difference(6, 5, 1, 5), "first = 6"),
        (lambda: shares.share_power(0, 0.5, 0.5), "pairs = 0"),
        (lambda: shares.share_power(5, 1.5, 0.5), "first = 1.5"),
        (lambda: shares.share_power(5, 0.5, 0.5, both=0.6), "both = 0.6"),
        (lambda: shares.group_share_power(301, 0.5, 0.5), "runs = 301"),
        (lambda: shares.share_pairs(0.5, 0.5), "second = 0.5"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
