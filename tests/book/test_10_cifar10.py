"""The page on CIFAR-10: the record and the live part, against numbers computed another way."""

from pathlib import Path

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


def test_the_live_part_trains_every_scheme_with_convolutions(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    for scheme in chosen["schemes"]:
        lost = values[f"not_started_{scheme}"] + values[f"diverged_{scheme}"]
        assert 0 <= lost <= chosen["runs"]
        assert 0 <= values[f"accuracy_{scheme}"] <= 1
