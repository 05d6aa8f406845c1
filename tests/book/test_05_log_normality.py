"""The page on log-normality: what it reports, and its corners."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

import fracrepro as fr
from fracrepro.stats import kolmogorov_power_bound
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "05_log_normality"


def relu_step_variance(width):
    """Var(log R | R > 0) as a binomial mixture of log-chi laws."""
    n = np.arange(1, width + 1)
    weights = stats.binom.pmf(n, width, 0.5)
    weights /= weights.sum()
    mean = 0.5 * (math.log(2) + special.digamma(n / 2))
    second = 0.25 * special.polygamma(1, n / 2) + mean**2
    return weights @ second - (weights @ mean) ** 2


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def test_the_page_finds_the_constants_and_rejects_the_controls(book):
    values = book.record(NAME)["values"]
    assert values["step_variance"] == pytest.approx(relu_step_variance(64), rel=1e-9)
    assert values["variance_error"] < 1e-11
    assert values["mean_error"] < 1e-12
    assert values["depth_slope"] == pytest.approx(-0.5, abs=0.02)
    assert values["leading_ratio"] == pytest.approx(1, abs=0.02)
    assert values["distance"] < values["berry_esseen"]
    assert values["ks_p_exact"] > 0.001 > values["ks_p_wrong_scheme"]
    assert values["ks_power_wrong_scheme"] > 0.999
    assert values["ks_p_wrong_variance"] < 0.001
    assert values["independent_p"] > 0.001 > values["shared_p"]
    assert 0.8 < values["independent_growth"] < 1.2
    assert 1.6 < values["shared_growth"] < 2.4
    # Negative skewness: more mass far below the mean than the normal law has, less far above.
    assert values["lower_ratio"] > 1 > values["upper_ratio"]


def test_linear_network(tmp_path):
    values = run(tmp_path, activation="linear", width="8", depth="5", s="2", networks="1000")
    assert values["step_variance"] == pytest.approx(special.polygamma(1, 4) / 4, rel=1e-10)
    assert values["step_mean"] == pytest.approx(0.5 * (math.log(2 / 8) + special.digamma(4)), rel=1e-10)
    assert values["ks_p_exact"] > 0.001


def test_one_relu_neuron_dies_and_the_page_says_so(tmp_path):
    values = run(tmp_path, width="1", depth="30", s="0.5", networks="200")
    assert values["step_variance"] == pytest.approx(math.pi**2 / 8, rel=1e-10)  # ψ'(1/2)/4
    assert values["alive"] == 0
    assert "ks_p_exact" not in values
    assert values["variance_error"] < 1e-11


def test_a_wide_network_at_a_tiny_order(tmp_path):
    # The absolute value has the norms of the linear network.
    values = run(tmp_path, activation="abs", width="4096", depth="2", s="0.01", networks="500")
    assert values["step_variance"] == pytest.approx(special.polygamma(1, 2048) / 4, rel=1e-9)
    assert values["distance"] < 0.005
    assert values["ks_p_exact"] > 0.001


def test_the_kolmogorov_smirnov_test_keeps_its_level_and_its_power():
    """200 seeds at level 0.05: false alarms as stated, the wrong scheme rejected as often as bounded."""
    depth, width, size, level = 20, 64, 300, 0.05
    right, wrong = (
        fr.LogNormLaw(depth, width, fr.ReLU(), fr.critical_variance(s, width, fr.ReLU())) for s in (1, 2)
    )
    grid = right.mean() + math.sqrt(right.var()) * np.linspace(-8, 8, 2001)
    tables = [law.cdf(grid) for law in (right, wrong)]
    rejections = np.zeros(2, int)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sample = fr.simulate_log_norms(size, depth, width, fr.ReLU(), right.variance, rng=rng)[:, -1]
        rejections += [
            stats.kstest(np.interp(sample, grid, table), "uniform").pvalue < level for table in tables
        ]
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, level)
    assert low <= rejections[0] <= high
    power = kolmogorov_power_bound(wrong.cdf(grid), right.cdf(grid), size, level=level)
    assert 0.5 < power < 1
    assert rejections[1] >= stats.binom.ppf(0.0005, 200, power)
