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
    assert values["depth_slope_gap"] == pytest.approx(abs(values["depth_slope"] + 0.5), abs=1e-15)
    assert values["depth_slope_gap"] < 0.001
    assert values["leading_gap"] < 0.001
    assert values["edgeworth_limit_gap"] < 1e-7
    assert values["largest_over_bound"] < 1
    assert values["law_routes_gap"] < 1e-10
    assert values["lower_tail_routes"] < 1e-8
    assert values["all_mean_error"] < 1e-12
    assert values["all_variance_error"] < 1e-11
    assert values["variance_over_orders"] < 1e-12
    assert values["distance"] < values["berry_esseen"]
    assert values["ks_p_exact"] > 0.001 > values["ks_p_wrong_scheme"]
    assert values["ks_power_wrong_scheme"] > 0.999
    assert values["ks_p_wrong_variance"] < 0.001
    assert values["independent_p"] > 0.001 > values["shared_p"]
    assert values["independent_growth_gap"] < 0.2
    assert values["shared_growth_gap"] < 0.4
    assert values["growth_power"] > 0.99
    assert values["independent_power"] > 0.99
    # The growth under shared weights comes down to 2, from above.
    assert abs(values["shared_growth_deep"] - 2) < values["shared_growth_gap"]
    assert 0 < values["shared_growth_deep_error"] < 0.01
    assert values["shared_offset_correlation"] < -0.1
    per_layer = values["normal_moment_per_layer"]
    assert values["normal_moment_deep"] == pytest.approx(math.exp(1000 * per_layer), rel=1e-12)
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


def test_both_senses_of_a_heavy_tail(book):
    values = book.record(NAME)["values"]
    assert values["light_least"] > 0.8
    assert values["heavy_fall_three"] == pytest.approx(values["three_predicted_fall"], rel=0.1)
    assert values["heavy_fall_log_normal"] < 0.67
    assert values["power_least_rise"] > 1.1
    assert values["closed_tail_gap"] < 1e-12


def test_the_measures_of_the_senses_tell_known_laws_apart():
    """Controls: a Pareto tail fails the second measure, an exponential one the first."""

    def over_t(minus_log):
        return (minus_log(1000) / 1000) / (minus_log(100) / 100)

    def over_log(minus_log):
        return (minus_log(1000) / math.log(1000)) / (minus_log(100) / math.log(100))

    def pareto(t):
        return 3 * math.log(t)

    assert over_log(pareto) == pytest.approx(1)  # the ledger asks for 1.1: no power tail
    assert over_t(lambda t: t) == 1.0  # the ledger asks for at most 0.67: no heavy tail
    assert over_t(pareto) < 0.67


def test_a_law_that_is_slightly_wrong_fails_the_exact_margins():
    """The variance 1e-8 off moves the distribution function by more than the margin of 1e-10."""
    right = fr.LogNormLaw(20, 64, fr.ReLU(), 1.0)
    wrong = fr.LogNormLaw(20, 64, fr.ReLU(), 1.0 + 1e-8)
    assert abs(right.cdf(right.mean()) - wrong.cdf(right.mean())) > 1e-8


def test_the_growth_of_a_random_walk_is_found_and_the_bootstrap_knows_its_error():
    """200 samples: exponents scatter as the bootstrap of one says; 3/2 is never taken for 1."""
    depths, runs = np.array([16, 32, 64]), 500
    rng = np.random.default_rng(11)

    def exponent(paths):
        return np.polyfit(np.log(depths), np.log(paths[:, depths].var(axis=0)), 1)[0]

    def walks():
        return fr.simulate_log_norms(runs, 64, 12, fr.Abs(), 1 / 12, rng=rng)

    found = np.array([exponent(walks()) for _ in range(200)])  # absolute values never die
    one = walks()
    boot = np.std([exponent(one[rng.integers(runs, size=runs)]) for _ in range(200)], ddof=1)
    assert found.std(ddof=1) == pytest.approx(boot, rel=0.3)  # each has an error of 5 %
    assert abs(found.mean() - 1) < 4 * found.std() / math.sqrt(200)
    assert np.count_nonzero(np.abs(found - 1) > 0.2) <= 10
    assert np.abs(found + 0.5 - 1).min() > 0.2  # a growth of 3/2 leaves the margin every time
