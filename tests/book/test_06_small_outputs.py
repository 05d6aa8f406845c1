"""The page on small outputs: what it reports, and its corners."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import fracrepro as fr
from fracrepro import oracle
from fracrepro.stats.means import mean_test
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "06_small_outputs"


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def test_the_page_finds_rarer_small_outputs_and_rejects_the_controls(book):
    values = book.record(NAME)["values"]
    # σ_1 from the binomial mixture of chi laws; σ_2² = 2/64.
    n = np.arange(1, 65)
    log_gamma = np.array([math.lgamma((i + 1) / 2) - math.lgamma(i / 2) for i in n])
    mean = stats.binom.pmf(n, 64, 0.5) @ np.exp(0.5 * math.log(2) + log_gamma)
    assert values["scale_ratio"] == pytest.approx(1 / mean / math.sqrt(2 / 64), rel=1e-10)
    assert values["shift_in_sd"] == pytest.approx(math.sqrt(20 * 5 / 64) / 4, rel=0.05)  # first order
    # The shift moves a normal 1 % quantile from z to z - shift.
    z = stats.norm.ppf(0.01)
    assert values["ratio_at_percent"] == pytest.approx(
        0.01 / stats.norm.cdf(z - values["shift_in_sd"]), rel=0.1
    )
    assert values["smallest_ratio"] > 1.05
    assert values["talbot_error"] < 1e-8
    assert values["every_layer_error"] < 1e-10
    assert values["every_depth_error"] < 1e-12
    assert values["rate_every_error"] < 1e-10
    assert values["xavier_least_ratio"] >= values["kaiming_least_ratio"] > 1.05
    assert values["xavier_relu"] > 100 > values["kaiming_relu"]
    # To first order the delay is 2/s exactly; a literal 0 would mean that the order compared with is 2.
    assert -0.05 < values["delay_lowest"] <= values["delay_highest"] < 0.05
    assert values["delay_lowest"] == pytest.approx(values["exponent_ratio"] / 2 - 1, abs=0.01)
    assert values["delay_lowest"] < -0.001
    assert values["conditioning_z"] < 3.2906 < values["conditioning_control_z"]
    assert values["small_p"] > 0.001 > values["small_control_p"]
    assert values["rate_error"] < 0.02
    assert values["rate_interior"] is True
    assert values["rate_hedge"] == ""
    assert values["rate"] > values["rate_kaiming"]
    assert values["end_here"] > 0.95
    assert values["reversed_gaussian"] == values["reversed_uniform"] == 0
    assert min(values["reversed_bias"], values["reversed_tanh"]) > 0.01
    assert values["leaky_exact"] < values["leaky_kaiming"] < values["leaky_published"]


def test_one_linear_neuron_at_kaimings_order_changes_nothing(tmp_path):
    values = run(tmp_path, activation="linear", width="1", depth="3", s="2", networks="300")
    assert values["scale_ratio"] == 1
    assert values["smallest_ratio"] == pytest.approx(1, rel=1e-9)
    assert values["talbot_error"] < 1e-6


def test_one_relu_neuron_at_a_small_order(tmp_path):
    values = run(tmp_path, width="1", depth="2", s="0.05", networks="300")
    # E R^s = ½ E|z|^s.
    moment = 0.5 * 2**0.025 * math.gamma(0.525) / math.sqrt(math.pi)
    assert values["scale_ratio"] == pytest.approx(moment ** (-1 / 0.05) / math.sqrt(2), rel=1e-9)
    assert values["small_exact"] == pytest.approx(0.75, abs=1e-6)  # the dead ones; all others are huge


def test_a_wide_network_with_the_norms_of_a_linear_one(tmp_path):
    values = run(tmp_path, activation="abs", width="4096", depth="2", s="0.5", networks="300")
    # First order: (2 - s)/4 √(kκ/d) with κ = 2.
    assert values["shift_in_sd"] == pytest.approx(1.5 / 4 * math.sqrt(2 * 2 / 4096), rel=0.01)
    assert values["smallest_ratio"] > 1
    assert values["conditioning_z"] < 3.2906


def test_the_check_by_conditioning_has_the_stated_level_and_power():
    """200 seeds at level 0.05, linear network: the weight of one layer more, right scale and wrong."""
    depth, width, rows, level, tail = 4, 32, 400, 0.05, 1e-2
    variance = fr.critical_variance(1, width, fr.Linear())
    longer, shorter = (fr.LogNormLaw(k, width, fr.Linear(), variance) for k in (depth, depth - 1))
    place, shift = longer.ppf(tail), -0.03
    truth = longer.cdf(place - shift) / tail
    rejections, powers = np.zeros(2, int), []
    for seed in range(200):
        r2 = np.random.default_rng(seed).chisquare(width, rows)
        steps = 0.5 * np.log(variance * r2)
        right = mean_test(shorter.cdf(place - steps) / tail, 1.0, level=level)
        wrong = mean_test(shorter.cdf(place - steps - shift) / tail, 1.0, level=level)
        rejections += [right.rejected, wrong.rejected]
        powers.append(right.power(truth))
    low, high = stats.binom.ppf([0.0005, 0.9995], 200, 0.06)  # 0.05, and a little for the skewness
    assert low <= rejections[0] <= high
    assert abs(rejections[1] / 200 - np.mean(powers)) < 0.12


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "rrelu", "linear", "abs"])
def test_xaviers_scheme_has_small_outputs_more_often_by_two_routes(name):
    """The old margin of 1e-6 let pass a variance that is 1e-7 off; this one does not."""
    width, phi = 8, fr.activation(name)
    own, xavier = fr.critical_variance(1.0, width, phi), 1 / width
    eps = math.exp(fr.LogNormLaw(1, width, phi, own).mean() - 1)
    small = {}
    for variance in (own, xavier):
        small[variance] = float(oracle.talbot_probability(eps / math.sqrt(variance), width, phi))
        gaps = [
            abs(fr.LogNormLaw(1, width, phi, v).small_output_probability(eps) / small[variance] - 1)
            for v in (variance, variance * (1 + 1e-7))
        ]
        assert gaps[0] < 1e-10 < 1e-8 < gaps[1] < 1e-6
    assert small[xavier] > 1.02 * small[own]


def test_slopes_beyond_one_are_outside_the_statement_on_xaviers_scheme():
    """The control: with slope -2 below zero Xavier's variance is the larger one, and the order turns."""
    steep = fr.LeakyReLU(2.0)
    assert fr.critical_variance(1.0, 64, steep) < 1 / 64


def test_the_rule_for_reversed_pairs_has_the_stated_error_rates(book):
    """200 seeds: the rule of one in a hundred, at true shares of one in a thousand and one in twenty."""
    values = book.record(NAME)["values"]
    pairs = values["pairs"]
    counts = [np.random.default_rng(seed).binomial(pairs, [0.001, 0.05]) for seed in range(200)]
    fired = (np.array(counts) >= 0.01 * pairs).mean(axis=0)
    assert fired[0] == 0
    assert fired[1] == 1
    assert values["reversal_false_alarm"] < 1e-6 < 0.99 < values["reversal_power"]
