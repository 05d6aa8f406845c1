"""The page on dropout: reported values, corners, and the rates of its tests."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import fracrepro as fr
from fracrepro import oracle
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

NAME = "07_dropout"
PROJECT = Project(Path(__file__).resolve().parents[2])


def dropped_relu_moment(s, width, p):
    """E R^s of the rectifier with dropout: Bin(d, (1-p)/2) coordinates survive, enlarged by 1/(1-p)."""
    n = np.arange(1, width + 1)
    chi = [2 ** (s / 2) * math.exp(math.lgamma((k + s) / 2) - math.lgamma(k / 2)) for k in n]
    return float(stats.binom.pmf(n, width, (1 - p) / 2) @ chi) / (1 - p) ** s


def test_the_critical_variance_under_dropout(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    s, width, p = chosen["s"], chosen["width"], chosen["p"]
    assert values["sigma2"] == pytest.approx(dropped_relu_moment(s, width, p) ** (-2 / s), rel=1e-11)
    assert values["sigma2_without"] == pytest.approx(dropped_relu_moment(s, width, 0) ** (-2 / s), rel=1e-11)
    assert values["mixture_error"] < 1e-12
    assert values["laplace_error"] < 1e-12
    # One coordinate has κ = E C²/(E C)² - 1 = 6/(1 - p) - 1 for the rectifier.
    assert values["kappa_with"] == pytest.approx(6 / (1 - p) - 1, rel=1e-12)
    assert not values["rejected_right"]
    assert values["rejected_control"]


def test_evaluation_mode_preserves_another_moment(book):
    record = book.record(NAME)
    values, width = record["values"], record["parameters"]["width"]
    order = values["evaluation_order"]
    assert order > 2
    product = values["sigma2"] ** (order / 2) * dropped_relu_moment(order, width, 0)
    assert product == pytest.approx(1, rel=1e-8)
    assert values["evaluation_note"] == ""
    expected = values["evaluation_factor"] ** record["parameters"]["depth"]
    assert values["evaluation_moment"] == pytest.approx(expected, rel=1e-9)


def test_survival_and_laws(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    death = ((1 + chosen["p"]) / 2) ** chosen["narrow"]
    assert values["survival_narrow"] == pytest.approx((1 - death) ** chosen["depth"], rel=1e-12)
    assert values["survival_p_value"] > 1e-3
    assert values["survival_control_p_value"] < 1e-6
    assert values["ks_p_value"] > 1e-3
    assert values["ks_control_p_value"] < 1e-6
    assert values["small_never_more"]
    for name in ("exponent_every_error", "death_every_error", "survival_error", "exponent_error"):
        assert values[name] < 1e-12, name
    assert values["small_every_error"] < 1e-10
    assert values["small_every_ratio"] > 1.01
    assert min(values["ks_power"], values["survival_power"], values["tail_power"]) > 0.99
    assert not values["tail_rejected"]
    assert (values["tail_words"], values["tail_control_words"]) == ("keeps", "rejects")
    assert (values["control_words"], values["zero_note"]) == ("is rejected", "")
    assert values["tail_root_error"] < 1e-12


def test_the_root_is_checked_by_another_route():
    """The old check inverted the library's moment with itself; the integral sees a variance 1e-9 off."""
    drop = fr.Dropout(fr.ReLU(), 0.5)
    right = fr.critical_variance(1.0, 8, drop)
    for variance, low, high in ((right, 0.0, 1e-12), (right * (1 + 1e-9), 1e-10, 1e-9)):
        deviation = abs(math.sqrt(variance) * float(oracle.moment(1.0, 8, drop)) - 1)
        assert low <= deviation < high


@pytest.mark.parametrize(
    "chosen",
    [
        {"activation": "rrelu", "width": "3", "s": "2", "p": "0.2", "networks": "2000"},
        {"activation": "relu", "width": "1", "p": "0.95", "s": "0.25", "narrow": "2", "networks": "1000"},
        {"activation": "linear", "width": "4096", "p": "0", "depth": "1", "networks": "2000"},
        {"activation": "abs", "width": "2", "p": "0.7", "s": "1.5", "narrow": "5", "networks": "2000"},
    ],
)
def test_at_the_corners(chosen, tmp_path):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=chosen, output=tmp_path)
    assert outcome.error == ""
    values = outcome.record["values"]
    for name in ("mixture", "laplace", "exponent", "kaiming_ratio", "tail_index"):
        assert values[f"{name}_error"] < 1e-9, name
    assert values["order_gap"] < 1e-12
    assert values["ratio"] == pytest.approx(values["sigma2"] / values["sigma2_without"], rel=1e-12)
    if chosen["p"] == "0":
        assert values["sigma2"] == values["sigma2_without"]
        assert values["zero_note"]


def test_the_rates_of_the_tests_of_laws_and_survivors():
    """200 seeds at level 0.05: true laws are rejected about as often as stated, the controls always."""
    level, count, depth, drop = 0.05, 400, 20, fr.Dropout(fr.ReLU(), 0.5)
    sigma2, plain = fr.critical_variance(1.0, 64, drop), fr.critical_variance(1.0, 64, fr.ReLU())
    law, law_without = fr.LogNormLaw(depth, 64, drop, sigma2), fr.LogNormLaw(depth, 64, fr.ReLU(), plain)
    narrow_sigma2 = fr.critical_variance(1.0, 8, drop)
    alive, alive_without = (fr.survival_probability(depth, 8, phi) for phi in (drop, fr.ReLU()))
    rejected = np.zeros(4, dtype=int)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        norms = fr.simulate_log_norms(count, depth, 64, drop, sigma2, rng=rng)[:, -1]
        narrow = fr.simulate_log_norms(count, depth, 8, drop, narrow_sigma2, rng=rng)[:, -1]
        survivors = int(np.isfinite(narrow).sum())
        p_values = [stats.kstest(norms[np.isfinite(norms)], one.cdf).pvalue for one in (law, law_without)]
        p_values += [stats.binomtest(survivors, count, one).pvalue for one in (alive, alive_without)]
        rejected += np.array(p_values) < level
    assert stats.binomtest(int(rejected[0]), 200, level).pvalue > 1e-3
    # The binomial test is exact: its rate is the level at most.
    assert stats.binomtest(int(rejected[2]), 200, level, alternative="greater").pvalue > 1e-3
    assert rejected[1] == rejected[3] == 200


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "rrelu", "linear", "abs"])
def test_the_exponent_of_every_activation_has_a_second_route(name):
    """The old margin of 1e-10 on ReLU alone said nothing of the others; a dropout 1e-9 off is seen."""
    width, right = 8, fr.Dropout(fr.activation(name), 0.5)
    variance = fr.critical_variance(1.0, width, right)
    expected = 0.5 * math.log(variance) + float(oracle.log_moments(width, right)[0])
    for rate, low, high in ((0.5, 0.0, 1e-12), (0.5 + 1e-9, 1e-11, 1e-7)):
        drop = fr.Dropout(fr.activation(name), rate)
        assert low <= abs(fr.lyapunov_exponent(variance, width, drop) - expected) < high
