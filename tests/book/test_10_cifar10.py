"""The page on CIFAR-10: the record and the live part, against numbers computed another way."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
NAME = "10_cifar10"


@pytest.mark.parametrize("other", ["kaiming", "xavier"])
def test_the_record_is_read(book, other):
    recorded = pd.read_csv(ROOT / "recorded" / "cifar10.csv")
    assert len(recorded) == 3 * 10 * 50
    last = recorded[recorded["epoch"] == 50].pivot(index="seed", columns="scheme", values="test_accuracy")
    values = book.record(NAME)["values"]
    expected = stats.ttest_rel(100 * last["fractional"], 100 * last[other]).confidence_interval(0.95)
    found = (values[f"record_low_{other}"], values[f"record_high_{other}"])
    assert found == pytest.approx(tuple(expected), rel=1e-9)


def test_the_mean_over_epochs_is_compared_run_by_run(book):
    recorded = pd.read_csv(ROOT / "recorded" / "cifar10.csv")
    means = {
        scheme: [100 * runs["test_accuracy"].mean() for _, runs in group.groupby("seed")]
        for scheme, group in recorded.groupby("scheme")
    }
    expected = stats.ttest_rel(means["fractional"], means["kaiming"]).confidence_interval(0.95)
    values = book.record(NAME)["values"]
    assert (values["record_earlier_low"], values["record_earlier_high"]) == pytest.approx(
        tuple(expected), rel=1e-9
    )


def curve(name, figure):
    """The differences to Kaiming's scheme, a row for each seed and a column for each epoch."""
    recorded = pd.read_csv(ROOT / "recorded" / f"{name}.csv")
    by_run = recorded.set_index(["scheme", "seed", "epoch"])[figure].unstack()
    return (by_run.loc["fractional"] - by_run.loc["kaiming"]).to_numpy()


def share_of_sign_patterns(differences):
    """The p-value of the largest |t|, by scipy's t for every pattern of signs."""
    signs = itertools.product([1.0, -1.0], repeat=len(differences))
    flipped = np.array(list(signs))[:, :, None] * differences
    largest = np.abs(stats.ttest_1samp(flipped, 0, axis=1).statistic).max(1)
    return np.mean(largest >= largest[0] * (1 - 1e-9))


def test_the_early_lead_is_reported(book):
    # Until this test the page said that the two schemes do not differ on the way to the end of training.
    values = book.record(NAME)["values"]
    for figure in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert values[f"curve_p_{figure}"] == share_of_sign_patterns(curve("cifar10", figure))
    assert values["curve_p_train_loss"] < 0.01
    ahead = (curve("cifar10", "train_loss")[:, :5] < 0).sum(0)
    assert (values["curve_ahead_least"], values["curve_ahead_most"]) == (ahead.min(), ahead.max()) == (9, 10)
    assert values["curve_epochs_train_loss"] == "2, 3"
    # Control: without the first five epochs, nothing is left to find.
    assert share_of_sign_patterns(curve("cifar10", "train_loss")[:, 5:]) > 0.05


def test_new_seeds_are_judged_as_their_record_says(book):
    """The differences by hand; Student's tests of all pairs, at half the level, agree with the looks."""
    values, pairs = book.record(NAME)["values"], len(curve("cifar10_confirm", "train_loss"))
    assert values["confirm_pairs"] == pairs
    assert pairs in (14, 20, 26, 30)
    lead = curve("cifar10_confirm", "train_loss")[:, :5].mean(1)
    end = curve("cifar10_confirm", "test_accuracy")[:, -1]
    assert values["confirm_difference_lead"] == pytest.approx(lead.mean(), abs=1e-12)
    assert values["confirm_difference_end"] == pytest.approx(100 * end.mean(), abs=1e-12)
    spread = end.std(ddof=1) / curve("cifar10", "test_accuracy")[:, -1].std(ddof=1)
    assert values["confirm_spread_ratio"] == pytest.approx(spread, rel=1e-9)

    def within(gaps, margin):
        above = stats.ttest_1samp(gaps, -margin, alternative="greater").pvalue
        return max(above, stats.ttest_1samp(gaps, margin, alternative="less").pvalue)

    assert values["confirm_equivalent_lead"] == (within(lead, 0.02) <= 0.025)
    assert values["confirm_equivalent_end"] == (within(end, 0.01) <= 0.025)
    assert (values["confirm_p_lead"] <= 0.05) == (stats.ttest_1samp(lead, 0.0).pvalue <= 0.025)
    assert values["confirm_decided_end"] == 0
    assert stats.ttest_1samp(end, 0.0).pvalue > 0.025


def test_mnist_has_no_such_lead(book):
    values = book.record(NAME)["values"]
    rng = np.random.default_rng(4)
    for figure in ("train_loss", "test_accuracy"):
        differences = curve("mnist", figure)
        signs = np.vstack([np.ones(20), rng.choice([-1.0, 1.0], (4000, 20))])
        means, squares = signs @ differences / 20, (differences**2).sum(0) / 20
        largest = np.abs(means / np.sqrt((squares - means**2) / 19)).max(1)
        # 4000 patterns: a standard error of at most 0.0073, and 4 of them are a false alarm in 16 000.
        expected = np.mean(largest >= largest[0] * (1 - 1e-9))
        assert abs(values[f"mnist_curve_p_{figure}"] - expected) < 4 * 0.0073
        assert expected > 0.05


def test_the_live_part_trains_every_scheme_with_convolutions(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    for scheme in chosen["schemes"]:
        lost = values[f"not_started_{scheme}"] + values[f"diverged_{scheme}"]
        assert 0 <= lost <= chosen["runs"]
        assert 0 <= values[f"accuracy_{scheme}"] <= 1


@pytest.mark.parametrize(
    ("other", "figure"), list(itertools.product(["kaiming", "xavier"], ["test", "train"]))
)
def test_the_mean_over_five_epochs_is_reported_beside_the_last_epoch(book, other, figure):
    # Until this test the page judged the last epoch alone.
    recorded = pd.read_csv(ROOT / "recorded" / "cifar10.csv")
    values = book.record(NAME)["values"]
    infix = "training_" if figure == "train" else ""
    ends = {}
    for prefix, last in (("late", 5), ("record", 1)):
        kept = recorded[recorded["epoch"] > 50 - last]
        means = 100 * kept.groupby(["scheme", "seed"])[f"{figure}_accuracy"].mean()
        gap = means["fractional"] - means[other]
        ends[prefix] = stats.ttest_1samp(gap, 0).confidence_interval(0.95)
        names = [f"{prefix}_{infix}{other}_{end}" for end in ("low", "high")]
        if figure == "test":
            names = [f"{prefix}_{end}_{other}" for end in ("low", "high")]
        assert [values[name] for name in names] == pytest.approx(list(ends[prefix]), rel=1e-9)
        assert (ends[prefix].low > 0) == (other == "xavier")
    # Control: the two are other numbers.
    assert ends["late"].low != pytest.approx(ends["record"].low, rel=1e-3)


def test_the_arms_agree_where_the_theorem_says_and_the_control_is_found(book):
    record = book.record(NAME)
    values = record["values"]
    assert values["arm_error"] < 1e-12 < 1e-3 < values["arm_control"]
    assert values["arm_rounding"] >= values["arm_error"]
    assert 0 < values["arm_p"] <= min(values["arm_p_scale"], values["arm_p_biases"])
    # All patterns of signs: the least p-value of n seeds is 2 to the -(n - 1).
    least = 0.5 ** (record["parameters"]["arm_seeds"] - 1)
    assert values["arm_control_p"] >= least
    assert values["arm_control_lead"] > 0  # ten times the output delays learning
    assert values["arm_control_effect"] == "delays"
    assert (values["arm_control_finding"] == "is found") == (values["arm_control_p"] <= 0.05)
    assert (values["arm_finding"] == "No arm leads") == (values["arm_p"] > 0.05)
    assert values["arm_scale_last_low"] <= values["arm_scale_last"] <= values["arm_scale_last_high"]
    # 200 simulated experiments at 0.05: more than 22 would have probability 0.0005.
    assert values["arm_false_alarm"] <= 22 / 200


def test_the_output_scale_of_the_arms_is_that_of_the_exact_variances(book):
    from fracrepro import LeakyReLU, ReLU, critical_variance

    def ratio(width):
        return critical_variance(1, width, LeakyReLU(0.01)) / critical_variance(2, width, ReLU())

    assert book.record(NAME)["values"]["arm_scale"] == pytest.approx(
        np.sqrt(ratio(64) ** 19 * ratio(10)), rel=1e-9
    )  # Kaiming's variance is that of the ReLU, a choice of the protocol
