"""The page on MNIST: the record, the sweeps and the live part, against numbers computed another way."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
NAME = "09_mnist"


def test_every_scheme_and_its_paired_difference_are_reported(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    for scheme in chosen["schemes"]:
        assert 0 <= values[f"accuracy_{scheme}"] <= 1
        assert values[f"not_started_{scheme}"] + values[f"diverged_{scheme}"] <= 2 * chosen["runs"]
    gap = 100 * (values["accuracy_fractional"] - values["accuracy_kaiming"])
    assert values["live_mean"] == pytest.approx(gap, abs=1e-9)
    assert values["live_low"] < values["live_mean"] < values["live_high"]
    assert values["schemes_differ_only_in_scale"]


def test_the_record_is_read(book):
    recorded = pd.read_csv(ROOT / "recorded" / "mnist.csv")
    last = recorded[recorded["epoch"] == 30].pivot(index="seed", columns="scheme", values="test_accuracy")
    values = book.record(NAME)["values"]
    expected = stats.ttest_rel(100 * last["fractional"], 100 * last["kaiming"]).confidence_interval(0.95)
    assert (values["record_low_kaiming"], values["record_high_kaiming"]) == pytest.approx(
        tuple(expected), rel=1e-9
    )


def test_the_sweeps_count_every_comparison_at_the_joint_level(book):
    values = book.record(NAME)["values"]
    better, worse, changes = 0, 0, []
    for axis in ("depth", "width"):
        runs = pd.read_csv(ROOT / "recorded" / f"mnist_{axis}.csv").query("epoch == 5")
        for _, cell in runs.groupby([axis, "negative_slope"]):
            accuracy = 100 * cell.set_index(["s", "seed"])["test_accuracy"]
            lost = ~np.isfinite(cell.set_index(["s", "seed"])["test_loss"])
            accuracy[lost] = np.nan
            for s in (0.25, 1.0):
                test = stats.ttest_rel(accuracy[s], accuracy[2.0], nan_policy="omit")
                low, high = test.confidence_interval(1 - 0.05 / 32)
                better, worse = better + (low > 0), worse + (high < 0)
                changes.append(np.nanmean(accuracy[s] - accuracy[2.0]))
    assert values["sweep_comparisons"] == len(changes) == 32
    assert (values["sweep_better"], values["sweep_worse"]) == (better, worse)
    assert values["sweep_largest_gain"] == pytest.approx(max(changes), abs=1e-9)
    assert values["sweep_largest_loss"] == pytest.approx(min(changes), abs=1e-9)
