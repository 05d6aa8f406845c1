"""What would settle a verdict: the promised numbers of pairs keep their power, half of them do not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.errors import ArgumentError
from fracrepro.stats.judging import judge
from fracrepro.stats.plans import ExperimentPlan
from fracrepro.stats.settling import settling
from fracrepro.stats.shares import share_difference, share_power


@pytest.fixture(scope="module")
def plan(fields):
    return ExperimentPlan.from_dict(fields())


@pytest.fixture(scope="module")
def settled(plan, results):
    return settling(plan, results(3, spread=0.05).assign(seconds=1.5))


def test_the_verdicts_stay_and_costs_are_counted(plan, results, settled):
    table = judge(plan, results(3, spread=0.05))
    assert settled[table.columns].equals(table)
    needed = settled[["pairs_difference", "pairs_equivalence"]].max(axis=1)
    assert (settled["further"] == np.maximum(0, needed - settled["pairs"])).all()
    # Eight epochs of 1.5 s, two runs a pair.
    assert settled["hours"].tolist() == pytest.approx((settled["further"] * 2 * 8 * 1.5 / 3600).tolist())


def test_as_many_pairs_find_what_they_should_and_half_of_them_do_not(plan, results, settled):
    """Student's tests on 4000 made-up experiments: 0.8 within 4 standard errors (0.0063 each)."""
    row = settled.iloc[0]
    frame = results(3, spread=0.05)
    last = frame[(frame["epoch"] == 8) & (frame["depth"] == row["depth"])]
    wide = last.pivot(index="seed", columns="scheme", values="test_accuracy")
    deviation = (wide["fractional"] - wide["kaiming"]).std()
    level, rng = plan.level_of_one(), np.random.default_rng(11)

    def found(pairs, centre):
        gaps = rng.normal(centre, deviation, (4000, pairs))
        error = gaps.std(axis=1, ddof=1) / np.sqrt(pairs)
        return gaps.mean(axis=1), error, pairs - 1

    def different(pairs, centre):
        mean, error, nu = found(pairs, centre)
        return np.mean(np.abs(mean) / error > stats.t.isf(level / 2, nu))

    def equivalent(pairs, centre):
        mean, error, nu = found(pairs, centre)
        return np.mean((row["margin"] - np.abs(mean)) / error > stats.t.isf(level, nu))

    seen = abs(row["difference"])
    assert 0 < seen < row["margin"] / 2  # so that equivalence is what settles it
    for power_of, pairs in (
        (lambda n: different(n, row["margin"]), row["pairs_difference"]),
        (lambda n: equivalent(n, 0.0), row["pairs_equivalence"]),
        (lambda n: equivalent(n, seen), row["pairs_seen"]),
    ):
        assert power_of(pairs) > 0.8 - 4 * 0.0063
        assert power_of(pairs // 2) < 0.8 - 4 * 0.0063  # the control


def test_a_large_difference_is_settled_by_finding_it(plan, results):
    found = settling(plan, results(3, gain=0.06, spread=0.05).assign(seconds=1.0)).iloc[0]
    assert found["difference"] > found["margin"] / 2
    # One larger than what these pairs find with power 0.8 needs fewer, and the other way round.
    enough = found["difference"] >= found["detectable"]
    assert (found["pairs_seen"] <= found["pairs"]) == enough


def test_shares_of_runs_that_all_agree_need_the_pairs_of_the_exact_tests(plan, results):
    """As many agreeing pairs as promised are equivalent by the verdict's own test, one fewer are not."""
    frame = results(3).assign(seconds=1.0, test_accuracy=0.5)
    table = settling(plan, frame)
    found, level = table[table["endpoint"] == "share that starts"], plan.level_of_one()
    for row in found.to_dict("records"):
        n, margin = row["pairs_equivalence"], row["margin"]
        assert row["pairs_seen"] == n
        for pairs, within in ((n, True), (n - 1, False)):
            same = pd.Series([True] * pairs)
            assert (share_difference(same, same).p_equivalent(margin) <= level) == within
        fall = row["pairs_difference"]
        assert share_power(fall, 1.0, 1.0 - margin, level=level) >= 0.8
        assert share_power(fall // 2, 1.0, 1.0 - margin, level=level) < 0.8
    assert (found["further"] > 0).all()


def test_other_figures_without_spread_need_no_more(plan, results):
    found = settling(plan, results(3).assign(seconds=1.0, test_accuracy=0.5, test_loss=1.0, train_loss=1.0))
    others = found[found["endpoint"] != "share that starts"]
    assert len(others)
    assert (others["further"] == 0).all()


def test_a_power_out_of_range_is_refused(plan, results):
    with pytest.raises(ArgumentError, match="power"):
        settling(plan, results(3).assign(seconds=1.0), power=1.0)


def test_a_pair_across_a_setting_costs_one_run_at_each_value(fields, results):
    changed = fields(endpoint={"across": "depth", "compare": [[2, 4]]})
    plan = ExperimentPlan.from_dict(changed | {"endpoints": changed["endpoints"][:1]})
    table = results(3, spread=0.3)
    found = settling(plan, table.assign(seconds=1.0 + (table["depth"] == 4)))
    assert (found["further"] > 0).all()
    # Eight epochs of 1 s and eight of 2 s a pair.
    assert found["hours"].tolist() == pytest.approx((found["further"] * 24 / 3600).tolist())
