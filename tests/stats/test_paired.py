"""Paired comparison against scipy's t-test, and its power against simulation."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.stats import paired


@pytest.fixture
def pair():
    rng = np.random.default_rng(7)
    first = pd.Series(rng.normal(0.5, 1, 12), index=range(12))
    return first, first - rng.normal(0.2, 0.3, 12)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_interval_agrees_with_scipy(pair, confidence):
    found = paired.paired_difference(*pair, confidence=confidence)
    expected = stats.ttest_rel(*pair).confidence_interval(confidence)
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-12)
    assert found.mean == pytest.approx((pair[0] - pair[1]).mean(), rel=1e-12)


def test_pairs_are_matched_by_seed_not_by_position(pair):
    first, second = pair
    shuffled = second.sample(frac=1, random_state=1)
    assert paired.paired_difference(first, shuffled) == paired.paired_difference(first, second)


def test_a_diverged_run_is_counted_and_left_out(pair):
    first, second = pair
    first = first.copy()
    first[3] = math.nan
    found = paired.paired_difference(first, second)
    assert (found.pairs, found.lost) == (11, 1)
    without = paired.paired_difference(first.drop(3), second.drop(3))
    assert found == dataclasses.replace(without, lost=1)


def test_too_few_pairs_give_no_interval():
    found = paired.paired_difference(pd.Series([1.0, math.nan]), pd.Series([0.5, 0.5]))
    assert math.isnan(found.mean)
    assert (found.pairs, found.lost) == (1, 1)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_of_means_agree_with_scipy(confidence):
    samples = pd.DataFrame(np.random.default_rng(3).normal(2, 1, (7, 3)), columns=[2, 8, 32])
    samples.loc[4, 8] = math.nan
    found = paired.mean_intervals(samples, confidence=confidence)
    assert list(found.index) == [2, 8, 32]
    for size, values in samples.items():
        expected = stats.ttest_1samp(values.dropna(), 0.0).confidence_interval(confidence)
        assert tuple(found.loc[size, ["low", "high"]]) == pytest.approx(tuple(expected), rel=1e-12)
        assert found.loc[size, "mean"] == pytest.approx(values.mean(), rel=1e-12)


@pytest.mark.parametrize(("pairs", "level", "power"), [(3, 0.05, 0.8), (10, 0.05, 0.8), (20, 0.01, 0.9)])
def test_detectable_difference_has_its_power(pairs, level, power):
    # 40 000 tests: the rate's standard error is at most 0.0025, and 4 of them are a false alarm in 16 000.
    delta = paired.detectable_difference(pairs, level=level, power=power)
    rng = np.random.default_rng(pairs)

    def rejection_rate(mean):
        sample = rng.normal(mean, 1, (40_000, pairs))
        return (stats.ttest_1samp(sample, 0, axis=1).pvalue < level).mean()

    assert abs(rejection_rate(delta) - power) < 0.01
    assert abs(rejection_rate(delta * 0.9) - power) > 0.01  # control: a tenth less is told apart
    assert abs(rejection_rate(0.0) - level) < 0.01


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: paired.detectable_difference(1), "pairs"),
        (lambda: paired.detectable_difference(5, level=0.0), "level"),
        (lambda: paired.detectable_difference(5, level=0.1, power=0.05), "power"),
        (lambda: paired.paired_difference(pd.Series([1.0]), pd.Series([1.0]), confidence=1.0), "confidence"),
        (lambda: paired.paired_difference(pd.Series([1.0]), pd.Series([1.0], index=[5])), "second"),
        (lambda: paired.final_figures(pd.DataFrame(), "seconds"), "figure"),
    ],
)
def test_bad_input_is_refused_by_name(call, name):
    with pytest.raises(ValueError, match=name):
        call()


def test_final_figures_takes_the_last_epoch():
    rows = [
        {"scheme": scheme, "seed": seed, "epoch": epoch, "test_loss": 100 * epoch + 10 * seed + len(scheme)}
        for scheme in ("a", "bb")
        for seed in (0, 1)
        for epoch in (1, 2)
    ]
    table = paired.final_figures(pd.DataFrame(rows), "test_loss")
    assert table.loc[1, "bb"] == 212
    assert table.shape == (2, 2)


@pytest.mark.parametrize("last", [1, 2, 3])
def test_final_figures_average_the_last_epochs(last):
    index = pd.MultiIndex.from_product([("a", "b"), range(4), (1, 2, 3)], names=["scheme", "seed", "epoch"])
    losses = pd.Series(np.random.default_rng(6).normal(size=24), index, name="test_loss")
    losses["a", 2, 2] = math.nan
    found = paired.final_figures(losses.reset_index(), "test_loss", last=last)
    for (scheme, seed), values in losses.groupby(["scheme", "seed"]):
        expected = np.mean(values.to_numpy()[-last:])  # a missing epoch makes the mean missing
        np.testing.assert_allclose(found.loc[seed, scheme], expected, rtol=1e-12)
    assert np.isnan(found.loc[2, "a"]) == (last > 1)
    with pytest.raises(ValueError, match="last = 4"):
        paired.final_figures(losses.reset_index(), "test_loss", last=4)


def results(runs):
    """Two epochs of runs given as (scheme, seed, final accuracy, final loss)."""
    rows = [
        {"scheme": scheme, "seed": seed, "epoch": epoch, "train_accuracy": a, "test_accuracy": a * epoch / 2}
        | {"test_loss": loss}
        for scheme, seed, a, loss in runs
        for epoch in (1, 2)
    ]
    return pd.DataFrame(rows)


RUNS = [
    ("kaiming", 0, 0.9, 0.3),
    ("kaiming", 1, 0.15, 2.2),
    ("kaiming", 2, 0.8, 0.5),
    ("fractional", 0, 0.95, 0.2),
    ("fractional", 1, 0.85, 0.4),
    ("fractional", 2, 0.0, math.nan),
]


def test_endpoints_count_what_they_leave_out():
    table = paired.endpoints(results(RUNS), chance=0.1)
    assert list(table.index) == ["kaiming", "fractional"]
    assert table.loc["fractional", "test accuracy"] == pytest.approx(0.9, rel=1e-12)
    assert table.loc["kaiming", "test accuracy"] == pytest.approx((0.9 + 0.15 + 0.8) / 3, rel=1e-12)
    assert table[["runs", "not started", "diverged"]].to_numpy().tolist() == [[3, 1, 0], [2, 0, 1]]


def test_comparisons_leave_a_pair_out_when_one_of_it_diverged():
    table = paired.comparisons(results(RUNS), "fractional")
    accuracy = table.loc[("test accuracy", "kaiming")]
    assert (accuracy["pairs"], accuracy["lost"]) == (2, 1)
    assert accuracy["mean"] == pytest.approx((5 + 70) / 2, rel=1e-12)
    assert table.loc[("test loss", "kaiming"), "mean"] == pytest.approx((-0.1 - 1.8) / 2, rel=1e-12)
    both = paired.comparisons(results(RUNS), "fractional", last=2).loc[("test accuracy", "kaiming")]
    assert both["mean"] == pytest.approx(0.75 * (5 + 70) / 2, rel=1e-12)  # epoch 1 has half the accuracy
    with pytest.raises(ValueError, match="first = 'xavier'"):
        paired.comparisons(results(RUNS), "xavier")


def sweep_results(rng):
    """A sweep over two depths: three orders, five seeds, two epochs."""
    rows = [
        {"depth": depth, "scheme": "fractional", "s": s, "seed": seed, "epoch": epoch}
        for depth in (10, 20)
        for s in (0.5, 1.0, 2.0)
        for seed in range(5)
        for epoch in (1, 2)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(test_accuracy=rng.uniform(0.5, 0.9, len(frame)), test_loss=1.0)


def test_orders_are_compared_in_every_cell_at_the_joint_level():
    results = sweep_results(np.random.default_rng(5))
    lost = (results["depth"] == 20) & (results["s"] == 0.5) & (results["seed"] == 3)
    results.loc[lost, ["test_accuracy", "test_loss"]] = [0.1, np.nan]
    low = (results["depth"] == 10) & (results["s"] == 2.0) & (results["seed"] == 0)
    results.loc[low, "test_accuracy"] = 0.15
    found = paired.order_differences(results, ["depth"], 2.0, chance=0.1, level=0.1)
    assert list(zip(found["depth"], found["s"], strict=True)) == [(10, 0.5), (10, 1.0), (20, 0.5), (20, 1.0)]
    last = results.query("epoch == 2").set_index(["depth", "s", "seed"])["test_accuracy"]
    for row in found.itertuples():
        first, second = 100 * last[row.depth, row.s], 100 * last[row.depth, 2.0]
        if row.lost:
            first, second = first.drop(3), second.drop(3)
        expected = stats.ttest_rel(first, second).confidence_interval(1 - 0.1 / 4)
        assert (row.low, row.high) == pytest.approx(tuple(expected), rel=1e-12)
        assert row.accuracy == pytest.approx(first.mean(), rel=1e-12)
    assert found["lost"].tolist() == [0, 0, 1, 0]
    assert found["started"].tolist() == [5, 5, 4, 5]
    assert found["started_of_reference"].tolist() == [4, 4, 5, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"level": 0}, "level = 0"), ({"chance": 1.0}, "chance"), ({"reference": 1.5}, "reference = 1.5")],
)
def test_bad_comparisons_of_orders_are_refused(changes, message):
    results = sweep_results(np.random.default_rng(5))
    arguments = {"reference": 2.0, "chance": 0.1, "level": 0.05} | changes
    with pytest.raises(ValueError, match=message):
        paired.order_differences(results, ["depth"], **arguments)
