"""Verdicts under a plan: by hand, by scipy, and how often a wrong claim is made over 200 seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.stats import judging
from fracrepro.stats.plans import ExperimentPlan


@pytest.fixture(scope="module")
def plan(fields):
    return ExperimentPlan.from_dict(fields())


def columns(table, depth, value, epoch=8):
    kept = table[(table["depth"] == depth) & (table["epoch"] == epoch)]
    wide = kept.pivot(index="seed", columns="scheme", values=value)
    return wide["fractional"], wide["kaiming"]


def test_every_comparison_has_scipys_numbers_and_holms_rule(results, plan):
    table = results(1, gain=0.03, never=0.3)
    found = judging.judge(plan, table)
    assert len(found) == 6
    assert found["depth"].tolist() == [2, 4] * 3
    raw = []
    for row in found.to_dict("records"):
        assert (row["first"], row["second"], row["pairs"]) == ("fractional s=1", "kaiming", 30)
        if row["endpoint"] == "accuracy":
            first, second = columns(table, row["depth"], "test_accuracy")
            d = first - second
            low = stats.ttest_1samp(d, -0.03, alternative="greater").pvalue
            raw += [
                stats.ttest_1samp(d, 0).pvalue,
                max(low, stats.ttest_1samp(d, 0.03, alternative="less").pvalue),
            ]
            interval = stats.ttest_1samp(d, 0).confidence_interval(1 - 0.05 / 6)
            assert (row["low"], row["high"]) == pytest.approx(tuple(interval), rel=1e-9)
            assert row["difference"] == pytest.approx(d.mean(), rel=1e-12)
    for row, different, equivalent in zip(found[:2].to_dict("records"), raw[::2], raw[1::2], strict=True):
        # Holm multiplies by at most the number of comparisons.
        assert different <= row["p_different"] <= min(1.0, 6 * different) * (1 + 1e-12)
        assert equivalent <= row["p_equivalent"] <= min(1.0, 6 * equivalent) * (1 + 1e-12) or equivalent > 0.5


def test_runs_that_never_learn_are_outcomes(results, plan):
    table = results(2, never=0.7)
    found = judging.judge(plan, table)
    dead = table[(table["depth"] == 2) & (table["epoch"] == 8) & (table["test_accuracy"] == 0.1)]
    epochs = found[(found["endpoint"] == "epochs to a loss of 1") & (found["depth"] == 2)].iloc[0]
    assert epochs["out_first"] == len(dead) > 5
    assert epochs["verdict"] == "worse"
    reached = table[(table["train_loss"] <= 1.0) & (table["depth"] == 2) & (table["scheme"] == "fractional")]
    firsts = reached.groupby("seed")["epoch"].min().reindex(range(100, 130)).fillna(24)
    assert epochs["mean_first"] == pytest.approx(
        firsts.mean(), rel=1e-12
    )  # never is one epoch after the last
    share = found[(found["endpoint"] == "share that starts") & (found["depth"] == 2)].iloc[0]
    assert share["mean_first"] == pytest.approx(1 - len(dead) / 30, rel=1e-12)
    assert share["verdict"] == "worse"


def test_a_diverged_run_counts_with_the_value_of_the_plan(results, plan):
    table = results(3)
    lost = (table["seed"] == 101) & (table["scheme"] == "kaiming") & (table["epoch"] >= 5)
    table.loc[lost, "test_loss"] = np.nan  # its accuracy stays a number
    found = judging.judge(plan, table).iloc[0]
    expected = columns(table, 2, "test_accuracy")[1].copy()
    expected[101] = 0.1
    assert found["mean_second"] == pytest.approx(expected.mean(), rel=1e-12)
    assert (found["out_second"], found["pairs"]) == (1, 30)


def test_a_mean_over_epochs(fields, results):
    changes = {"measure": "mean", "epochs": [2, 4]}
    found = judging.judge(ExperimentPlan.from_dict(fields(endpoint=changes)), results(4)).iloc[0]
    table = results(4)
    means = [columns(table, 2, "test_accuracy", epoch)[0] for epoch in (2, 3, 4)]
    assert found["mean_first"] == pytest.approx(np.mean(means), rel=1e-12)


def test_all_four_verdicts(results, plan):
    def words(gain, spread=0.02):
        return judging.judge(plan, results(5, gain=gain, spread=spread))["verdict"][0]

    assert words(0.0) == "equivalent within the margin"
    assert words(0.1) == "better"
    assert words(-0.1) == "worse"
    assert words(0.01, spread=0.3).startswith("not known, a difference of 0.")
    assert not judging.is_open(judging.judge(plan, results(5)))
    assert judging.is_open(judging.judge(plan, results(5, spread=0.3)))


def test_looks_see_the_first_seeds_and_pay(fields, results, plan):
    planned = ExperimentPlan.from_dict(fields(looks=[10, 20, 30], stopping="decided"))
    early = judging.judge(planned, results(6, gain=0.3, pairs=10))
    once = judging.judge(plan, results(6, gain=0.1))
    assert early["verdict"][0] == "better"
    assert early["pairs"][0] == 10
    late = judging.judge(planned, results(6, gain=0.1))
    assert (late["high"] - late["low"] > once["high"] - once["low"])[:2].all()
    # An early look has a smaller level than the last: intervals are wider by more than the fewer pairs.
    assert early["high"][0] - early["low"][0] > 3**0.5 * (once["high"][0] - once["low"][0])
    with pytest.raises(ValueError, match="results: have 11 seeds"):
        judging.judge(planned, results(6, pairs=11))
    with pytest.raises(ValueError, match="results: have 10 seeds"):
        judging.judge(plan, results(6, pairs=10))


def test_a_joint_band_decides_under_max_t(fields, results):
    plan = ExperimentPlan.from_dict(fields(multiplicity="max_t"))
    found = judging.judge(plan, results(7, gain=0.1))
    band = (found["low"] > 0) | (found["high"] < 0)
    assert band.tolist() == (found["p_different"] <= 0.05).tolist()
    assert found["verdict"].tolist()[:2] == ["better", "better"]
    inside = (found["low"] > -found["margin"]) & (found["high"] < found["margin"])
    assert inside.tolist() == (found["verdict"] == "equivalent within the margin").tolist()
    assert inside[2:4].all()


def of_accuracy(fields, **changes):
    """The plan with its first endpoint only, which is quick to judge."""
    changed = fields(**changes)
    return ExperimentPlan.from_dict(changed | {"endpoints": changed["endpoints"][:1]})


@pytest.mark.parametrize("rule", ["holm", "max_t"])
def test_wrong_claims_over_200_seeds(fields, results, rule):
    """Half of the experiments have no difference, half the margin's; each has two comparisons."""
    plan = of_accuracy(fields, multiplicity=rule)
    wrong = alone = right = 0
    for seed in range(200):
        gain = 0.03 * (seed % 2)
        table = results(1000 + seed, gain=gain, epochs=1)
        found = judging.judge(plan, table)
        claims = found["verdict"].isin(
            ["better", "worse"] if gain == 0 else ["equivalent within the margin", "worse"]
        )
        wrong += claims.any()
        right += (~claims & ~found["verdict"].str.startswith("not known")).sum()
        # Control: each comparison alone at a level three times as large.
        for depth in (2, 4):
            d = np.subtract(*columns(table, depth, "test_accuracy", 1))
            p = stats.ttest_1samp(d, gain, alternative="two-sided").pvalue
            alone += p <= 0.15
    assert wrong <= stats.binom.ppf(0.999, 200, 0.05)
    assert right >= 0.7 * 400
    assert alone > stats.binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[t["scheme"] != "kaiming"], "results: scheme = 'kaiming'"),
        (lambda t: t.drop(columns="test_accuracy"), "figure = 'test_accuracy'"),
        (lambda t: t.drop(columns="depth"), "results: setting = 'depth'"),
        (lambda t: t[(t["seed"] != 100) | (t["scheme"] != "kaiming")], "results lack a run of kaiming"),
        (lambda t: t.assign(depth=2), "several rows of one run"),
        (lambda t: t.replace({"seed": {100: 0}}), "have 30 seeds"),
    ],
)
def test_results_of_another_plan_are_refused(fields, results, plan, change, message):
    with pytest.raises(ValueError, match=message):
        judging.judge(plan, change(results(8)))
    with pytest.raises(ValueError, match="failed = 24: need a finite number in"):
        judging.judge(plan, results(4, epochs=24))  # such a run would be as good as one that gets there
    with pytest.raises(ValueError, match="epochs: the results end with epoch 3, before 4"):
        judging.judge(
            ExperimentPlan.from_dict(fields(endpoint={"measure": "mean", "epochs": [2, 4]})),
            results(4, epochs=3),
        )


def test_an_endpoint_may_look_at_some_rows_only(fields, results):
    table = results(9)
    one = table[table["epoch"] == 8].drop(columns="epoch")
    staged = pd.concat([one.assign(stage="end"), one.assign(stage="start", test_accuracy=0.1)])
    found = judging.judge(of_accuracy(fields, endpoint={"where": {"stage": "end"}}), staged)
    expected = judging.judge(of_accuracy(fields), table)
    assert found["difference"].tolist() == pytest.approx(expected["difference"].tolist(), rel=1e-12)
    with pytest.raises(ValueError, match="several rows of one run"):
        judging.judge(of_accuracy(fields), staged)


def test_a_pilot_says_what_the_promises_need(fields, results):
    endpoints = [{k: v for k, v in each.items() if k != "power"} for each in fields()["endpoints"]]
    table = results(10, pairs=10, never=0.4)
    found = judging.pilot_table(endpoints, table, ["depth"])
    assert found["depth"].tolist() == [2, 4] * 3
    for row in found.to_dict("records"):
        if row["endpoint"] == "accuracy":
            first, second = columns(table, row["depth"], "test_accuracy")
            assert row["deviation"] == pytest.approx(np.std(first - second, ddof=1), rel=1e-12)
            assert np.isnan(row["share"])
        if row["endpoint"] == "share that starts":
            first, _ = columns(table, row["depth"], "test_accuracy")
            assert row["share"] == (first > 0.2).mean()
    assert (found["pairs"] == 10).all()
    one = table[table["depth"] == 4]
    assert judging.pilot_table(endpoints, one)["deviation"].tolist() == found["deviation"][1::2].tolist()


def across(fields, **changes):
    """One endpoint that compares the depths, for each scheme by itself."""
    return {"across": "depth", "compare": [[2, 4]], **changes}


def test_values_of_a_setting_are_compared_for_each_scheme(fields, results):
    table = results(11, gain=0.1)
    deeper = table["depth"] == 4
    table.loc[deeper & (table["scheme"] == "kaiming"), "test_accuracy"] -= 0.2
    found = judging.judge(of_accuracy(fields, endpoint=across(fields)), table)
    assert found["scheme"].tolist() == ["fractional s=1", "kaiming"]
    assert found[["first", "second"]].to_numpy().tolist() == [[2, 4]] * 2
    ends = table[table["epoch"] == 8].pivot(index="seed", columns=["scheme", "depth"], values="test_accuracy")
    for row, scheme in zip(found.to_dict("records"), ("fractional", "kaiming"), strict=True):
        gaps = ends[scheme, 2] - ends[scheme, 4]
        assert row["difference"] == pytest.approx(gaps.mean(), rel=1e-12)
        interval = stats.ttest_1samp(gaps, 0).confidence_interval(1 - 0.05 / 2)
        assert (row["low"], row["high"]) == pytest.approx(tuple(interval), rel=1e-9)
    assert found["verdict"].tolist() == ["equivalent within the margin", "better"]
    # The control: with the depths exchanged the verdict is the opposite.
    turned = judging.judge(of_accuracy(fields, endpoint=across(fields, compare=[[4, 2]])), table)
    assert turned["verdict"].tolist() == ["equivalent within the margin", "worse"]
    endpoints = [{**fields(endpoint=across(fields))["endpoints"][0]}]
    del endpoints[0]["power"]
    pilot = judging.pilot_table(endpoints, table, ["depth"])
    assert pilot["scheme"].tolist() == ["fractional s=1", "kaiming"]
    assert pilot["deviation"][1] == pytest.approx((ends["kaiming", 2] - ends["kaiming", 4]).std(), rel=1e-12)


@pytest.mark.parametrize("rule", ["holm", "max_t"])
def test_wrong_claims_over_200_seeds_of_comparisons_across_a_setting(fields, results, rule):
    """No difference between the depths, which is what the results have; a shift of 0.1 is the power."""
    plan = of_accuracy(fields, endpoint=across(fields), multiplicity=rule)
    wrong = seen = 0
    for seed in range(200):
        table = results(3000 + seed, epochs=1)
        wrong += judging.judge(plan, table)["verdict"].isin(["better", "worse"]).any()
        if seed < 20:
            shifted = table.assign(test_accuracy=table["test_accuracy"] + 0.1 * (table["depth"] == 2))
            seen += (judging.judge(plan, shifted)["verdict"] == "better").all()
    assert wrong <= stats.binom.ppf(0.999, 200, 0.05)
    assert seen == 20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"across": "width"}, "across = 'width': need one of 'depth'"),  # it takes one value only
        ({"compare": [[2, 3]]}, "compare = '3': need one of '2', '4'"),
        ({"compare": [[2, 2]]}, "need two values"),
        ({"compare": [["fractional s=1", "kaiming"]]}, "compare = 'fractional s=1': need one of '2', '4'"),
        ({"across": 3}, "figure and across: need text"),
    ],
)
def test_a_setting_that_nobody_varies_is_refused(fields, changes, message):
    with pytest.raises(ValueError, match=message):
        of_accuracy(fields, endpoint=across(fields, **changes))


def test_results_without_a_compared_value_are_refused(fields, results):
    table = results(12)
    with pytest.raises(ValueError, match="results: depth = '4': need one of '2'"):
        judging.judge(of_accuracy(fields, endpoint=across(fields)), table[table["depth"] == 2])


def test_where_every_run_starts_the_fall_that_would_be_seen_is_told(results, plan):
    share = judging.judge(plan, results(1))
    share = share[share["endpoint"] == "share that starts"].iloc[0]
    assert (share["mean_first"], share["mean_second"]) == (1.0, 1.0)

    def power(fall):  # all pairs that differ differ one way; their number is binomial
        counts = np.arange(31)
        seen = [n > 0 and stats.binomtest(n, n).pvalue <= plan.level_of_one() for n in counts]
        return stats.binom.pmf(counts, 30, fall)[seen].sum()

    assert power(share["detectable"]) >= 0.8 > power(share["detectable"] - 0.001)
    words = f"a difference of {share['detectable']:.2g} would have been seen"
    assert share["verdict"] in (f"not known, {words}", "equivalent within the margin")
