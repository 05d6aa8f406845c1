"""The page on gradient tails: the record against numbers computed another way, the live part, corners."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
NAME = "11_gradient_tails"


def intervals(figure, level):
    """Student intervals of the mean over seeds at the end of training, for batch sizes that learned."""
    runs = pd.read_csv(ROOT / "recorded" / "gradient_tails.csv").query("stage == 'end'")
    found = {}
    for size, group in runs.groupby("batch_size"):
        if group["loss"].mean() < math.log(10) / 2:
            means = [group[group["seed"] == seed][figure].mean() for seed in range(6)]
            result = stats.ttest_1samp(means, 0.0)
            found[size] = (np.mean(means), *result.confidence_interval(level))
    return found


def test_the_record_is_read(book):
    values = book.record(NAME)["values"]
    plain = intervals("kurtosis", 0.95)
    assert values["record_learned"] == len(plain)
    assert values["kurtosis_lowest"] == pytest.approx(min(low for _, low, _ in plain.values()), rel=1e-9)
    joint = intervals("image_evi", 1 - 0.05 / len(plain))
    assert values["image_tail_largest_low"] == pytest.approx(
        max(low for _, low, _ in joint.values()), rel=1e-9
    )
    assert values["image_tail_largest_high"] == pytest.approx(
        max(high for _, _, high in joint.values()), rel=1e-9
    )
    runs = pd.read_csv(ROOT / "recorded" / "gradient_tails.csv").query("stage == 'end'")
    gap = (runs["noise_evi"] - runs["gaussian_evi"]).groupby(runs["batch_size"]).mean()
    assert values["noise_gap_largest"] == pytest.approx(gap[list(plain)].max(), rel=1e-9)
    joint = intervals("weight_evi", 1 - 0.05 / len(plain))
    assert values["weight_tail_largest_low"] == pytest.approx(
        max(low for _, low, _ in joint.values()), rel=1e-9
    )


def test_the_proposition_holds_and_the_control_is_normal(book):
    values = book.record(NAME)["values"]
    assert values["kurtosis_pair_error"] < 1e-9
    # 4096 dependent medians of 2000 draws: one alone has the standard error sqrt(24/2000) = 0.11.
    assert abs(values["kurtosis_normal"]) < 0.11 < values["kurtosis_one_image"]
    assert values["live_stable_normal"] < 1.5  # the estimator's failure, on normal noise
    assert max(values["stable_in_order"], values["stable_shuffled"]) < 1.5
    assert values["live_diverged"] == 0


def test_corners_run(tmp_path):
    chosen = {"batch_sizes": "[1]", "steps": "1", "layer": "0"}
    project = Project(ROOT)
    [outcome] = notebooks.run(project, [NAME], profile="quick", overrides=chosen, output=tmp_path)
    assert outcome.error == ""
    assert outcome.record["values"]["kurtosis_pair_error"] < 1e-9
