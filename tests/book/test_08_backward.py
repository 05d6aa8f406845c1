"""The page on the backward pass: reported values, corners, error rates of its test."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import fracrepro as fr
from fracrepro import oracle
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "08_backward"


def run(tmp_path, **chosen):
    overrides = {"networks": "50"} | chosen
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def relu_moment(s, width):
    """E R^s of the rectifier from its binomial mixture of chi laws."""
    return math.fsum(
        math.comb(width, n)
        / 2**width
        * 2 ** (s / 2)
        * math.exp(math.lgamma((n + s) / 2) - math.lgamma(n / 2))
        for n in range(1, width + 1)
    )


def check_identities(values):
    assert values["backward_deviation"] < 1e-12
    assert abs(values["fan_in_deviation"]) < 1e-12
    assert abs(values["fan_out_deviation"]) < 1e-12
    assert max(values["fan_in_every_deviation"], values["fan_out_every_deviation"]) < 1e-12
    for name in (
        "rejected_critical",
        "ks_rejected",
        "balance_rejected",
        "loss_rejected",
        "unbroken_rejected",
    ):
        assert not values[name], name


def test_the_backward_walk_keeps_its_moment_and_every_control_is_rejected(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    width, depth, s = chosen["width"], chosen["depth"], chosen["s"]
    check_identities(values)
    assert values["test_power"] > 0.95
    for name in ("rejected_control", "balance_control_rejected", "loss_control_rejected"):
        assert values[name], name
    kaiming = ((2 / width) ** (s / 2) * relu_moment(s, width)) ** depth
    assert values["kaiming_moment"] == pytest.approx(kaiming, rel=1e-10)


def test_a_loss_makes_the_gradient_grow_by_the_stated_factor(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    d, m, depth = chosen["width"], chosen["outputs"], chosen["depth"]
    q = m - (m - 1) * (1 - 2 / d) ** depth  # Q relaxes from 1 to U = m, in units of 1/d
    assert values["loss_growth"] == pytest.approx((m + (d - 1) * q) / (m + d - 1), rel=1e-12)
    assert values["loss_limit"] == pytest.approx(d * m / (m + d - 1), rel=1e-12)
    assert values["entropy_growth"] < values["loss_growth"] / 2


def entropy_growth(networks, width, depth, outputs, seed):
    """Mean squares of the cross entropy's gradient at the input over the top, and its error, by autograd."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    signals = [torch.ones(networks, width, dtype=torch.float64, requires_grad=True)]
    for _ in range(depth):
        weights = normal(networks, width, width) * math.sqrt(2 / width)
        signals.append(torch.relu(torch.einsum("nij,nj->ni", weights, signals[-1])))
    logits = torch.einsum("noj,nj->no", normal(networks, outputs, width) / math.sqrt(width), signals[-1])
    labels = torch.randint(outputs, (networks,), generator=generator)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    bottom, top = (g.square().sum(1) for g in torch.autograd.grad(loss, [signals[0], signals[-1]]))
    ratio = bottom.mean() / top.mean()
    return float(ratio), float((bottom - ratio * top).std() / top.mean() / math.sqrt(networks))


def test_the_cross_entropy_has_enough_networks_and_a_growth_that_autograd_finds_too(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    width, depth, outputs = chosen["width"], chosen["depth"], chosen["outputs"]
    assert values["entropy_networks"] == 5 * chosen["networks"]
    # 500 networks alone had the standard error 0.127: this one falls as the number of networks grows.
    wanted = 0.127 * math.sqrt(500 / values["entropy_networks"])
    assert 0.6 * wanted < values["entropy_growth_error"] < 1.5 * wanted < 0.127
    mean, error = entropy_growth(1000, width, depth, outputs, seed=5)
    spread = math.hypot(error, values["entropy_growth_error"])
    assert abs(values["entropy_growth"] - mean) < 3.29 * spread  # false-alarm rate 0.001
    # the control: independent gradients must fail the same comparison, and do not grow
    assert abs(values["entropy_control_growth"] - mean) > 2 * spread
    assert abs(values["entropy_control_growth"] - 1) < 3.29 * values["entropy_control_error"]
    # Its standard error is that of the exact law, of which 100 repetitions find the spread within a quarter.
    assert 0.75 < values["control_z_spread"] < 1.25
    relative = (1 + 5 / width) ** depth - 1  # of the squared walk, E R^4/(E R^2)^2 = 1 + 5/d
    exact = math.sqrt(relative * (1 + 2 / width) / values["control_networks"])
    assert 0.6 * exact < values["entropy_control_error"] < 1.6 * exact


def test_symmetric_biases_keep_the_law_and_other_changes_break_it(book):
    values = book.record(NAME)["values"]
    assert not values["bias_symmetric_rejected"]
    assert values["bias_constant_rejected"]
    assert values["sum_rejected"]
    assert values["tanh_rejected"]
    assert values["shared_spread_p"] < 1e-3 < values["independent_spread_p"]
    assert min(values["bias_power"], values["spread_power"]) > 0.95
    assert values["shared_spread"] > 1.5 * values["exact_spread"]


@pytest.mark.parametrize(
    "chosen",
    [
        {"activation": "linear", "depth": "2", "s": "2", "width": "16", "outputs": "1"},
        {"activation": "relu", "width": "1"},
        {"activation": "leaky_relu", "negative_slope": "-10", "width": "2", "depth": "100", "s": "0.01"},
    ],
)
def test_other_activations_widths_and_orders(chosen, tmp_path):
    values = run(tmp_path, **chosen)
    check_identities(values)
    if chosen["activation"] == "linear":
        assert values["kaiming_moment"] == pytest.approx(1.0, abs=1e-12)  # s = 2 is Kaiming
        assert values["loss_growth"] == pytest.approx(1.0, rel=1e-4)  # one output: U = Q, up to 2^-16
    elif chosen["activation"] == "relu":
        assert values["alive_networks"] == 0  # each is alive with probability 2^-20
    else:
        assert values["rejected_control"]
        assert "undefined" in values["published_words"]


def test_kolmogorov_and_smirnov_reject_as_often_as_stated():
    """200 seeds at the page's level: false alarms at the right law, power at Kaiming's, at 300 networks."""
    width, depth, phi = 64, 20, fr.ReLU()
    exact, kaiming = (fr.critical_variance(s, width, phi) for s in (1.0, 2.0))
    laws = [fr.LogNormLaw(depth, width, phi, variance) for variance in (exact, kaiming)]
    grid = np.linspace(-8, 8, 4001)
    tables = [law.cdf(grid) for law in laws]
    rejections = np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sample = fr.simulate_log_norms(300, depth, width, phi, exact, rng=rng)[:, -1]
        for i, table in enumerate(tables):
            pvalue = stats.kstest(sample, lambda x, table=table: np.interp(x, grid, table)).pvalue
            rejections[i] += pvalue < 0.01
    assert rejections[0] <= 8  # binomial(200, 0.01) exceeds 8 with probability 2e-4
    assert rejections[1] >= 180


def test_the_rectangular_check_sees_a_wrong_moment():
    """The old check had the library's moment on both sides, so a wrong one cancelled; the oracle's shows."""
    s, narrow, wide, phi = 1.0, 16, 64, fr.ReLU()
    right = math.log(fr.moment(s, narrow, phi))
    for log_moment, low, high in ((right, 0.0, 1e-12), (right + 1e-9, 1e-10, 1e-8)):
        variance = narrow / wide * math.exp(-2 / s * log_moment)
        # The old check: the same moment again, whatever it is.
        assert (variance * wide / narrow) ** (s / 2) * math.exp(log_moment) == pytest.approx(1, abs=1e-13)
        new = (variance * wide / narrow) ** (s / 2) * float(oracle.moment(s, narrow, phi))
        assert low <= abs(new - 1) < high


def test_the_spread_is_tested_at_its_level():
    """200 seeds at level 0.05, 100 walks: independent layers as often as stated, twice the spread always."""
    width, depth, count, phi = 64, 20, 100, fr.ReLU()
    exact = math.sqrt(depth * fr.log_moments(width, phi)[1])
    law, rejected = stats.chi2(count - 1), np.zeros(2, int)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        walks = fr.simulate_log_norms(count, depth, width, phi, 2 / width, rng=rng)[:, -1]
        for i, factor in enumerate((1.0, 2.0)):
            x = count * (factor * walks.std() / exact) ** 2
            rejected[i] += 2 * min(law.cdf(x), law.sf(x)) < 0.05
    assert stats.binomtest(int(rejected[0]), 200, 0.05).pvalue > 1e-3
    assert rejected[1] == 200
