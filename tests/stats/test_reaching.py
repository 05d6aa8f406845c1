"""Epochs to a goal: scipy's permutation test, runs that never reach it, error rates over 200 seeds."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.stats import reaching


def results(losses, scheme="kaiming", s=math.nan):
    """One row per run and epoch, from one list of losses a seed."""
    rows = [
        {
            "scheme": scheme,
            "s": s,
            "seed": seed,
            "epoch": epoch,
            "train_loss": loss,
            "test_accuracy": 1 - loss,
        }
        for seed, run in enumerate(losses)
        for epoch, loss in enumerate(run, 1)
    ]
    return pd.DataFrame(rows)


def test_the_first_epoch_counts_and_never_is_infinity():
    table = results([[0.9, 0.4, 0.6], [0.9, 0.8, 0.5], [math.nan, math.inf, math.nan], [0.9, 0.8, 0.7]])
    found = reaching.epochs_to(table, "train_loss", 0.5, falling=True)
    assert found.index.names == ["scheme", "s", "seed"]
    assert found.tolist() == [2.0, 3.0, math.inf, math.inf]
    rising = reaching.epochs_to(table, "test_accuracy", 0.5, falling=False)
    assert rising.tolist() == [2.0, 3.0, math.inf, math.inf]


def times(seed, slower=0.0, pairs=14, end=30):
    """Epochs in pairs that share a part, by two schemes; what ends after the training is never seen."""
    rng = np.random.default_rng([13, seed])
    shared = rng.normal(2.6, 0.3, pairs)
    one, other = (np.exp(shared + shift + rng.normal(0, 0.4, pairs)) for shift in (0.0, slower))
    return tuple(pd.Series(np.where(np.ceil(x) > end, np.inf, np.ceil(x))) for x in (one, other))


def test_the_p_value_is_that_of_scipys_permutations():
    first, second = times(3, 0.5, pairs=9)
    assert np.isinf(second).any()
    ranks = stats.rankdata(np.concatenate([first, second]))
    differences = ranks[:9] - ranks[9:]
    # Every way of exchanging the two runs of a pair, in scipy: the sum of the differences is the statistic.
    expected = stats.permutation_test(
        (ranks[:9], ranks[9:]),
        lambda x, y, axis: (x - y).sum(axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    found = reaching.compare_times(first, second)
    assert found.p_value == pytest.approx(expected, rel=1e-12)
    assert reaching.rank_differences(first, second).tolist() == differences.tolist()
    assert found.earlier == int((first < second).sum())
    assert found.pairs == 9


def test_ranks_see_no_unit_and_no_length_of_the_training():
    first, second = times(5, 0.6)
    assert reaching.compare_times(3 * first + 1, 3 * second + 1) == reaching.compare_times(first, second)
    shuffled = second.sample(frac=1, random_state=1)
    assert reaching.compare_times(first, shuffled) == reaching.compare_times(first, second)


def test_level_and_power_over_200_seeds():
    def rate(slower, p):
        return sum(p(*times(seed, slower)) <= 0.05 for seed in range(200))

    def ours(first, second):
        return reaching.compare_times(first, second).p_value

    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.05)
    assert low <= rate(0.0, ours) <= high
    # The logarithms differ by 0.5 with deviation 0.4·√2 in each pair: Student's test of them, all seen, has
    # power 0.87; ranks and runs that are not seen cost a part of it.
    assert rate(0.5, ours) >= stats.binom.ppf(0.0005, 200, 0.75)


def test_runs_that_never_get_there_count():
    """Half of the runs of one scheme never get there; those that do are as fast as the other's."""

    def experiment(seed):
        rng = np.random.default_rng([17, seed])
        first, second = rng.integers(5, 15, (2, 20)).astype(float)
        first[rng.random(20) < 0.5] = np.inf
        return pd.Series(first), pd.Series(second)

    def dropping(first, second):
        """The control: pairs with a run that never gets there are left out."""
        both = np.isfinite(first) & np.isfinite(second)
        return stats.wilcoxon(first[both], second[both]).pvalue if both.sum() > 1 else 1.0

    seen = sum(reaching.compare_times(*experiment(seed), draws=500).p_value <= 0.05 for seed in range(200))
    dropped = sum(dropping(*experiment(seed)) <= 0.05 for seed in range(200))
    # The bound was written after a first run had shown 155 of 200.
    assert seen >= 140
    assert dropped <= stats.binom.ppf(0.9995, 200, 0.05)


def test_two_schemes_that_never_get_there_are_the_same():
    never = pd.Series([math.inf] * 5)
    found = reaching.compare_times(never, never)
    assert (found.p_value, found.advantage, found.never_first, found.never_second) == (1.0, 0.0, 5, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reaching.epochs_to(results([[1.0]]), "loss", 0.5, falling=True), "figure = 'loss'"),
        (lambda: reaching.epochs_to(results([[1.0]]), "train_loss", math.nan, falling=True), "goal = nan"),
        (lambda: reaching.compare_times(pd.Series([1.0, 2.0]), pd.Series([1.0])), "same seeds"),
        (lambda: reaching.compare_times(pd.Series([1.0]), pd.Series([1.0])), "pairs = 1"),
        (lambda: reaching.rank_differences(pd.Series([math.nan]), pd.Series([1.0])), "need times"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
