"""Agreement of two records: p-values by enumeration and by scipy, rates over 200 seeds, refusals."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.stats.agreement import agreement, lepage, lepage_power
from fracrepro.stats.paired import FIGURES

RECORDED = Path(__file__).resolve().parents[2] / "recorded"
BOUND = [0.0005, 0.9995]  # of a count over 200 seeds: one test in a thousand fails by chance


def plain(sample, pooled):
    """T over a sample of places, from sums and from the mean and variance over all divisions."""
    ranks = [
        sum(other < value for other in pooled) + (1 + sum(other == value for other in pooled)) / 2
        for value in pooled
    ]
    total = 0.0
    for scores in (ranks, [min(r, len(pooled) + 1 - r) for r in ranks]):
        sums = [
            sum(scores[i] for i in part) for part in itertools.combinations(range(len(pooled)), len(sample))
        ]
        if np.var(sums) > 1e-12:
            total += (sum(scores[i] for i in sample) - np.mean(sums)) ** 2 / np.var(sums)
    return total


def by_enumeration(first, second):
    """The other route: every division by itself, moments of the sums from all of them."""
    pooled = [*first, *second]
    given = plain(range(len(first)), pooled)
    every = [plain(part, pooled) for part in itertools.combinations(range(len(pooled)), len(first))]
    return np.mean([one >= given - 1e-9 for one in every])


def record(seeds, change=lambda rows: rows, schemes=("kaiming", "xavier"), epochs=(1, 2), key=0):
    """Made-up runs with independent figures, changed by a function."""
    rng = np.random.default_rng([31, key])
    rows = pd.DataFrame(
        itertools.product(schemes, seeds, epochs), columns=["scheme", "seed", "epoch"]
    ).assign(experiment="made", s=np.nan, seconds=1.0)
    for figure in FIGURES:
        rows[figure] = rng.normal(size=len(rows))
    return change(rows)


def mnist(seeds=range(20)):
    table = pd.read_csv(RECORDED / "mnist.csv")
    return table[table["seed"].isin(seeds)]


@pytest.mark.parametrize(("m", "n"), [(2, 2), (2, 5), (3, 3), (4, 3), (3, 5)])
@pytest.mark.parametrize("kind", ["distinct", "tied", "wide", "dead"])
def test_p_values_are_those_of_all_divisions(m, n, kind):
    rng = np.random.default_rng([m, n])
    first, second = rng.normal(size=m), rng.normal(size=n)
    if kind == "tied":
        first, second = np.round(first), np.round(second)
    elif kind == "wide":
        second = 10 * second
    elif kind == "dead":
        first, second = np.append(first[1:], np.inf), np.append(np.full(n - 1, np.inf), 0.0)
    assert lepage(first, second) == pytest.approx(by_enumeration(first, second), rel=1e-11)
    assert lepage(second, first) == pytest.approx(lepage(first, second), rel=1e-11)
    assert lepage(-first, -second) == pytest.approx(lepage(first, second), rel=1e-11)


def test_equal_values_tell_nothing():
    assert lepage([0.1135] * 5, [0.1135] * 9) == 1.0
    assert lepage([0.1135] * 20, [0.1135] * 100) == 1.0


def test_the_statistic_is_the_sum_of_scipys_two():
    """Wilcoxon's and Ansari and Bradley's, as scipy has them, rank divisions of distinct values alike."""
    rng = np.random.default_rng(3)
    pooled = rng.normal(size=8)
    m, size = 3, 8
    every = list(itertools.combinations(range(size), m))
    sums = np.array(
        [
            (
                stats.mannwhitneyu(pooled[list(part)], np.delete(pooled, part)).statistic,
                stats.ansari(pooled[list(part)], np.delete(pooled, part)).statistic,
            )
            for part in every
        ]
    )
    total = (((sums - sums.mean(0)) ** 2) / sums.var(0)).sum(1)
    for part, one in zip(every, total, strict=True):
        expected = np.mean(total >= one - 1e-9)
        assert lepage(pooled[list(part)], np.delete(pooled, part)) == pytest.approx(expected, rel=1e-11)


def test_divisions_at_random_give_the_p_value_of_all_and_always_the_same():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=7), rng.normal(0.8, 2.0, size=9)  # 11440 divisions
    exact, drawn = lepage(first, second), lepage(first, second, draws=5000)
    low, high = stats.binom.ppf(BOUND, 5000, exact)
    assert low <= drawn * 5001 - 1 <= high
    assert drawn != exact
    assert drawn == lepage(first, second, draws=5000)
    assert lepage(range(20), range(20, 120)) == 1 / 20001  # the given division is counted
    # For large samples T is a sum of two independent squares: chi-squared with two degrees of freedom.
    one, other = rng.normal(size=300), rng.normal(0.15, 1.1, size=300)
    ranks = stats.rankdata([*one, *other])
    t = 0.0
    for scores in (ranks, np.minimum(ranks, 601 - ranks)):
        t += (scores[:300].mean() - scores.mean()) ** 2 / (scores.var(ddof=1) / 600)
    assert lepage(one, other) == pytest.approx(stats.chi2.sf(t, 2), abs=0.01)


def rate(reject, seeds=200):
    return sum(reject(np.random.default_rng([37, seed])) for seed in range(seeds))


@pytest.mark.parametrize("tied", [False, True])
def test_the_level_over_200_seeds(tied):
    def reject(rng):
        first, second = rng.normal(size=20), rng.normal(size=60)
        if tied:  # a third has diverged, the others end in few values
            first, second = (np.where(x > 0.4, np.inf, np.round(2 * x)) for x in (first, second))
        return lepage(first, second) <= 0.05

    low, high = stats.binom.ppf(BOUND, 200, 0.05)
    assert low <= rate(reject) <= high


@pytest.mark.parametrize(("shift", "spread"), [(1.0, 1.0), (-0.8, 1.0), (0.0, 2.2), (0.0, 0.45), (0.6, 1.5)])
def test_the_power_over_200_seeds(shift, spread):
    power = lepage_power(20, 60, shift=shift, spread=spread)
    assert 0.1 < power < 0.98

    def reject(rng):
        return lepage(rng.normal(5.0, 3.0, size=20), 5.0 + 3.0 * rng.normal(shift, spread, size=60)) <= 0.01

    # The stated power has a standard error of its own, at most 0.008.
    low, high = stats.binom.ppf(BOUND, 200, np.clip([power - 0.026, power + 0.026], 0.0, 1.0))
    assert low <= rate(reject) <= high


def test_the_power_at_the_tested_law_is_the_level_and_rises():
    assert lepage_power(20, 60) == pytest.approx(0.01, abs=0.005)
    shifts = [lepage_power(20, 60, shift=shift) for shift in (0.0, 0.5, 1.0, 1.5)]
    spreads = [lepage_power(20, 60, spread=spread) for spread in (1.0, 2.0, 4.0)]
    assert shifts == sorted(shifts)
    assert spreads == sorted(spreads)
    # A t-test at this level, the best one for a shift of normal laws, is no weaker.
    gap = 1.0 / np.sqrt(1 / 20 + 1 / 60)
    edge = stats.t.isf(0.005, 78)
    assert lepage_power(20, 60, shift=1.0) < stats.nct.sf(edge, 78, gap) + 0.026


def test_rows_are_the_tests_of_their_runs_and_holm_counts_all():
    first = record(range(12), key=1)
    second = record(range(20, 45), lambda rows: rows.assign(test_loss=rows["test_loss"] + 3.0), key=2)
    found = agreement(first, second)
    assert len(found) == 2 * 2 * 4
    for _, row in found.iterrows():
        one, other = (
            table[(table["scheme"] == row["scheme"]) & (table["epoch"] == row["epoch"])][row["figure"]]
            for table in (first, second)
        )
        draws = 20 * 16 * 100
        assert row["p_value"] == pytest.approx(lepage(one, other, draws=draws), rel=1e-11)
        assert (row["runs_first"], row["runs_second"]) == (12, 25)
        assert (row["median_first"], row["median_second"]) == (one.median(), other.median())
    order = found["p_value"].sort_values()
    steps = np.maximum.accumulate(np.minimum(1.0, order * np.arange(16, 0, -1)))
    assert found["p_adjusted"][order.index].to_numpy() == pytest.approx(steps.to_numpy(), rel=1e-11)
    different = found[found["verdict"] == "different"]
    assert set(different["figure"]) == {"test_loss"}
    assert len(different) == 4
    assert (found["verdict"] == "different").eq(found["p_adjusted"] <= 0.01).all()
    # The powers are those of the strictest step, and the worse direction of a spread.
    for table, sizes in ((found, (12, 25)), (agreement(second, first), (25, 12))):
        powers = [lepage_power(*sizes, spread=spread, level=0.01 / 16) for spread in (4.0, 0.25)]
        assert powers[0] != powers[1]
        assert set(table["power_spread"]) == {min(powers)}
    assert set(found["power_shift"]) == {lepage_power(12, 25, shift=1.25, level=0.01 / 16)}


def test_one_wrong_claim_among_all_is_as_rare_as_the_level():
    def wrong(seed, change=lambda rows: rows):
        first, second = record(range(10), key=[41, seed]), record(range(50, 70), change, key=[42, seed])
        found = agreement(first, second, level=0.05, figures=FIGURES[:2])
        return (found["verdict"] == "different").any()

    count = sum(wrong(seed) for seed in range(200))
    assert count <= stats.binom.ppf(BOUND[1], 200, 0.05)
    # Control: without Holm's rule it is not.
    low, high = stats.binom.ppf(BOUND, 200, 1 - 0.95**8)
    assert low > stats.binom.ppf(BOUND[1], 200, 0.05)
    assert low <= sum(unadjusted(seed) for seed in range(200)) <= high


def unadjusted(seed):
    first, second = record(range(10), key=[41, seed]), record(range(50, 70), key=[42, seed])
    return (agreement(first, second, level=0.05, figures=FIGURES[:2])["p_value"] <= 0.05).any()


def test_halves_of_a_record_agree_and_a_shifted_half_does_not():
    odd, even = mnist(range(1, 20, 2)), mnist(range(0, 20, 2))
    found = agreement(odd, even)
    assert found["epoch"].unique().tolist() == [1, 30]
    assert (found["verdict"] == "no difference found").all()
    assert found["power_shift"].max() < 0.1  # ten runs against ten say little at this level
    beyond = even.copy()
    beyond["train_loss"] += np.ptp(mnist()["train_loss"])
    found = agreement(odd, beyond)
    different = found[found["verdict"] == "different"]
    assert different["figure"].tolist() == ["train_loss"] * 8


def test_a_record_of_another_scheme_is_told_apart():
    table = mnist()
    kaiming, xavier = (
        table[table["scheme"] == scheme].assign(scheme="one") for scheme in ("kaiming", "xavier")
    )
    found = agreement(kaiming, xavier.assign(seed=xavier["seed"] + 20))
    assert (found["verdict"] == "different").all()
    # One standard deviation, at 100 runs against 20, and the same runs without it.
    rng = np.random.default_rng(43)
    drawn = pd.concat(
        rows.assign(seed=seed)
        for seed, rows in zip(
            range(20, 120),
            (kaiming[kaiming["seed"] == place] for place in rng.integers(0, 20, 100)),
            strict=True,
        )
    )
    assert (agreement(kaiming, drawn)["verdict"] == "no difference found").all()
    deviations = kaiming.groupby("epoch")[list(FIGURES)].std()
    moved = drawn.copy()
    moved[list(FIGURES)] += deviations.loc[drawn["epoch"]].to_numpy()
    assert (agreement(kaiming, moved)["verdict"] == "different").any()


def test_settings_and_orders_make_rows_of_their_own():
    sweep = pd.read_csv(RECORDED / "mnist_depth.csv").query("depth <= 20 and negative_slope == 0")
    other = sweep.sample(frac=1.0, random_state=1).assign(seed=sweep["seed"] + 50)
    found = agreement(sweep, other, figures=["test_accuracy"], epochs=[5])
    assert list(found.columns[:5]) == ["depth", "negative_slope", "scheme", "s", "epoch"]
    assert found[["depth", "s"]].to_numpy().tolist() == [
        [depth, s] for depth in (10, 20) for s in (0.25, 1.0, 2.0)
    ]
    assert (found["p_value"] == 1.0).all()  # the same runs under other names


def test_diverged_runs_are_ties_at_the_worst_end():
    def lost(rows, seeds):
        return rows.assign(
            test_loss=np.where(rows["seed"].isin(seeds), np.nan, rows["test_loss"]),
            test_accuracy=np.where(rows["seed"].isin(seeds), 0.98, rows["test_accuracy"] / 100 + 0.5),
        )

    first = record(range(20), lambda rows: lost(rows, {0}), key=5)
    second = record(range(20, 60), lambda rows: lost(rows, range(20, 50)), key=6)
    found = agreement(first, second)
    assert found[["diverged_first", "diverged_second"]].drop_duplicates().to_numpy().tolist() == [[1, 30]]
    assert (found["verdict"] == "different").all()
    # Whatever number stands for the worst, it is the same test.
    worst = first.assign(test_accuracy=first["test_accuracy"].where(first["test_loss"].notna(), -7.0))
    other = second.assign(test_accuracy=second["test_accuracy"].where(second["test_loss"].notna(), -7.0))
    for column in ("train_loss", "train_accuracy", "test_loss"):
        worst, other = worst.drop(columns=column), other.drop(columns=column)
    again = agreement(worst, other, figures=["test_accuracy"])
    expected = agreement(first, second, figures=["test_accuracy"])
    assert again["p_value"].tolist() == expected["p_value"].tolist()
    assert (again[["diverged_first", "diverged_second"]] == 0).all(axis=None)
    # Control: what is left out cannot be found.
    kept = (table[table["test_loss"].notna()] for table in (first, second))
    assert (agreement(*kept)["verdict"] == "no difference found").all()


FEW = {"figures": ["test_loss"], "epochs": [1]}


@pytest.mark.parametrize(
    ("second", "options", "message"),
    [
        (record(range(19, 40)), {}, "shares the seed 19 with first: need independent"),
        (record(range(20, 40), schemes=("kaiming",)), {}, r"only one has \('xavier'"),
        (record(range(20, 40), schemes=("kaiming", "xavier", "zero")), {}, r"only one has \('zero'"),
        (
            record(range(20, 40), epochs=(1, 2, 3)),
            {},
            "second: has 3 epochs, to 3: need those of first, 2 to 2",
        ),
        (record(range(20, 40), epochs=(1, 3)), {}, "second: has 2 epochs, to 3"),
        (record(range(20, 40)).assign(depth=3), {}, "second: has the settings .*'depth'"),
        (record(range(20, 40)).assign(s=1.0), {}, "only one has"),
        (record(range(20, 40)).drop(columns="test_loss"), {}, "second: has no column 'test_loss'"),
        (record(range(20, 40)).drop(columns="seed"), {}, "second: has no column 'seed'"),
        (record([]), {}, "second: has no rows"),
        (record([20, 20, 21]), {}, "second: a run of scheme=kaiming comes twice"),
        (record(range(20, 40)).iloc[1:], {}, "second: a run of scheme=kaiming lacks an epoch"),
        (record([20]), {}, "runs in second = 1"),
        (record([20, 21]), {}, "runs = 20 and 2: need more, no difference among 16"),
        (record(range(20, 40)), {"level": 0.0}, "level = 0.0"),
        (record(range(20, 40)), {"level": 1e-5}, "level of one comparison"),
        (record(range(20, 40)), {"shift": 0.0}, "shift = 0.0"),
        (record(range(20, 40)), {"spread": 1.0}, "spread = 1.0"),
        (record(range(20, 40)), {"figures": ["loss"]}, "figure = 'loss'"),
        (record(range(20, 40)), {"figures": []}, "figures"),
        (record(range(20, 40)), {"figures": ["test_loss", "test_loss"]}, "figures = 'test_loss' twice"),
        (record(range(20, 40)), {"epochs": [3]}, "epochs = 3: need some of 1 to 2"),
        (record(range(20, 40)), {"epochs": []}, "epochs"),
    ],
)
def test_records_that_cannot_be_compared_are_refused(second, options, message):
    with pytest.raises(ValueError, match=message):
        agreement(record(range(20)), second, **options)


def test_the_refusal_of_few_runs_is_sharp():
    first = record(range(20))
    with pytest.raises(ValueError, match="runs = 20 and 3: need more"):
        agreement(first, record([20, 21, 22]))
    assert len(agreement(first, record([20, 21, 22, 23]))) == 16
    assert len(agreement(first, record([20, 21, 22]), **FEW)) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lepage([1.0], [1.0, 2.0]), "values in first = 1"),
        (lambda: lepage([1.0, 2.0], [1.0, np.nan]), "second: has a value that is no number"),
        (lambda: lepage([[1.0, 2.0]], [1.0, 2.0]), r"first has shape \(1, 2\)"),
        (lambda: lepage([1.0, 2.0], [1.0, 2.0], draws=10), "draws = 10"),
        (lambda: lepage_power(1, 5), "first_runs = 1"),
        (lambda: lepage_power(5, 2001), "second_runs = 2001"),
        (lambda: lepage_power(5, 5, shift=np.inf), "shift = inf"),
        (lambda: lepage_power(5, 5, spread=0.0), "spread = 0.0"),
        (lambda: lepage_power(5, 5, level=1e-9), "level = 1e-09"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
