"""The page on the almost sure limit: what it reports, and its corners."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special, stats

import fracrepro as fr
from fracrepro import oracle
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "03_almost_sure_limit"


def relu_exponent(s, width):
    """The exponent at the critical variance of order s, from the binomial mixture."""
    n = np.arange(1, width + 1)
    weights = stats.binom.pmf(n, width, 0.5)
    log_power = special.gammaln((n + s) / 2) - special.gammaln(n / 2) + s / 2 * math.log(2)
    mean_log = weights @ (0.5 * (math.log(2) + special.digamma(n / 2))) / weights.sum()
    return mean_log - math.log(weights @ np.exp(log_power)) / s


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def test_the_page_finds_the_exponent_and_rejects_the_controls(book):
    values = book.record(NAME)["values"]
    assert values["exponent"] == pytest.approx(relu_exponent(1, 64), rel=1e-9)
    assert values["exponent_kaiming"] == pytest.approx(relu_exponent(2, 64), rel=1e-9)
    assert values["exponent_first_order"] == -5 / (8 * 64)
    assert values["exponent_error"] < 1e-12
    assert not values["rejected_exact"]
    assert values["rejected_control"]
    assert values["test_power"] > 0.999
    assert not values["rare_rejected"]
    assert values["rare_control_rejected"]
    assert values["tilted_mass_deep"] == pytest.approx(1, abs=1e-6)
    assert values["dead_at_four_exact"] == pytest.approx(1 - (15 / 16) ** 20, rel=1e-12)
    assert values["dead_smallest_p"] > 0.001 > values["dead_control_p"]
    assert values["dead_here"] == pytest.approx(20 * 2.0**-64, rel=1e-12)
    # About half a normal tail: the carriers lie beyond the tilted mean, s·Var away from the true one.
    assert values["carrier_share_deep"] < 0.01 < values["carrier_share"]


def test_the_sign_of_the_exponent_is_found_by_a_route_of_its_own(book):
    values = book.record(NAME)["values"]
    assert values["signs_gap"] < 1e-12
    assert values["signs_positive_orders"] < 0 < values["signs_negative_orders"]
    assert values["signs_order_zero"] < 1e-12
    assert values["exponent_at_zero"] < 1e-12
    assert values["moment_deviation"] < 1e-9
    # The old check subtracted the library's number from itself; an error of 1e-9 in it shows here.
    mean = float(oracle.log_moments(64, (1, 1))[0])
    off = fr.critical_variance(0.0, 64, fr.Linear()) * (1 + 1e-9)
    assert abs(math.log(off) / 2 + mean) > 1e-10


def test_relu_networks_die_at_every_variance_and_leaky_ones_at_none(book):
    values = book.record(NAME)["values"]
    assert values["every_variance_alive"] == 0
    assert values["every_variance_control_alive"] == 200
    assert values["every_variance_expected"] == pytest.approx(600 * 0.75**400, rel=1e-12)
    # Width 4 at order -1/2: the exponent given survival is positive, and the networks die all the same.
    m = fr.moment(-0.5, 4, fr.ReLU()) / fr.survival_probability(1, 4, fr.ReLU())
    assert fr.lyapunov_exponent(m**4, 4, fr.ReLU()) > 0
    logs = fr.simulate_log_norms(500, 400, 4, fr.ReLU(), m**4, rng=np.random.default_rng(3))
    assert np.isneginf(logs[:, -1]).all()  # each is alive with probability (15/16)^400 = 6e-12


def test_linear_network_with_kaimings_order(tmp_path):
    values = run(tmp_path, activation="linear", s="2", width="8", networks="1000", depth="10")
    exact = 0.5 * (math.log(2 / 8) + special.digamma(4))
    assert values["exponent"] == pytest.approx(exact, rel=1e-10)
    assert values["dead_here"] == 0
    assert values["shown_words"] == values["dash_words"] == values["dead_words"] == ""
    assert values["exponent_at_negative"] > 0


def test_one_relu_neuron_whose_survivors_grow(tmp_path):
    values = run(tmp_path, width="1", s="0.01", networks="500", depth="1")
    assert values["exponent"] == pytest.approx(relu_exponent(0.01, 1), rel=1e-9)
    assert values["exponent"] > 0
    assert values["shown_alive"] == 0
    assert "died" in values["shown_words"]
    assert "grow" in values["dash_words"]
    assert values["dead_here"] == pytest.approx(0.5, rel=1e-15)
    assert not values["rare_rejected"]


@pytest.mark.parametrize(
    "chosen", [{"activation": "leaky_relu", "negative_slope": "-1"}, {"activation": "abs"}]
)
def test_a_wide_network_of_absolute_values(tmp_path, chosen):
    values = run(tmp_path, width="4096", s="0.5", depth="2", networks="500", **chosen)
    # Slope -1 is the absolute value, whose norms are those of the linear network.
    moment = math.lgamma(2048.25) - math.lgamma(2048) + 0.25 * math.log(2)
    exact = 0.5 * (math.log(2) + special.digamma(2048)) - moment / 0.5
    assert values["exponent"] == pytest.approx(exact, abs=1e-11)
    assert (values["dead_here"], values["dead_words"]) == (0, "")
    assert not values["rejected_exact"]


def test_the_count_of_dead_networks_has_the_stated_level_and_power():
    """Binomial tests at level 0.001, 200 seeds: few false alarms, and the control is rejected always."""
    runs, depth, width = 2000, 20, 4
    right, wrong = (1 - (1 - 0.5**w) ** depth for w in (width, width + 1))
    counts = np.array([np.random.default_rng(seed).binomial(runs, right, 1)[0] for seed in range(200)])
    alarms = sum(stats.binomtest(int(c), runs, right).pvalue < 0.001 for c in counts)
    found = sum(stats.binomtest(int(c), runs, wrong).pvalue < 0.001 for c in counts)
    assert alarms <= 3  # expected 0.2; more than 3 has probability 6e-5
    assert found == 200


def test_the_new_routes_agree(book):
    values = book.record(NAME)["values"]
    assert values["closed_form_gap"] < 1e-12
    assert values["carrier_route_gap"] < 1e-9
    assert values["carrier_bound_slack"] < 1
    assert values["tilted_mass_gap"] < 1e-9
    assert values["dead_count_gap"] == 0
    assert values["dead_library_gap"] < 1e-12
    assert values["rare_control_power"] > 0.99
    assert values["dead_power"] > 0.999


def test_the_carrier_share_is_no_longer_read_off_a_grid(book):
    """ReLU, width 64, 500 layers at s = 1: the tilted median from sums eight times finer."""
    width, depth, s = 64, 500, 1.0
    law = fr.LogNormLaw(depth, width, fr.ReLU(), fr.critical_variance(s, width, fr.ReLU()))
    sd = math.sqrt(law.var())
    x = np.linspace(law.mean() - 9 * sd, law.mean() + (9 + 1.5 * s * sd) * sd, 24001)
    mass = np.cumsum(law.pdf(x) * np.exp(s * x)) * (x[1] - x[0])
    # Trapezoidal: half of the last term is not yet below x.
    below = mass - 0.5 * law.pdf(x) * np.exp(s * x) * (x[1] - x[0])
    median = optimize.brentq(lambda y: np.interp(y, x, below) - 0.5, 0.0, 10.0)
    share = float(law.sf(median))
    values = book.record(NAME)["values"]
    assert values["deep"] == depth
    assert values["carrier_share_deep"] == pytest.approx(share, rel=1e-5)
    coarse, masses = x[::8], np.cumsum(law.pdf(x[::8]) * np.exp(s * x[::8])) * (x[8] - x[0])
    old = float(law.sf(coarse[np.searchsorted(masses, masses[-1] / 2)]))
    assert abs(old / share - 1) > 0.002  # the old statement is off by its grid


def test_dead_networks_counted_with_fractions():
    """Width 2: fair signs, exactly; a formula with one neuron more differs."""
    dead = 0
    turn = [np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in (0.4, 1.1)]
    signs = [np.reshape(m, (2, 2)) for m in np.ndindex(2, 2, 2, 2)]
    for first in signs:
        for second in signs:
            x = np.array([1.0, 2.0])
            for m, q in zip((first, second), turn, strict=True):
                x = np.maximum((2 * m - 1) @ q @ x, 0)
            dead += int(not x.any())
    assert dead == 256 * (1 - fr.survival_probability(2, 2, fr.ReLU()))
    assert dead != 256 * (1 - fr.survival_probability(2, 3, fr.ReLU()))
