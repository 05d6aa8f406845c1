"""The page on the joint distribution: its values against ones computed another way, corners, refusals."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

import fracrepro as fr
from fracrepro.stats import MeanTest
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "12_joint_distribution"


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


@pytest.fixture(scope="module")
def values(book):
    return book.record(NAME)["values"]


def test_every_margin_holds_and_every_control_fails(values):
    assert max(values["kernel_error"], values["recursion_error"]) < 1e-12
    assert values["kernel_control"] > 1e-8
    assert values["recursion_control"] == pytest.approx(1 - 8 / 13, rel=1e-9)  # d²/4 over d(d + 5)/4
    assert not values["chain_rejected"]
    assert not values["mixture_rejected"]
    assert not values["collapse_rejected"]
    for name in ("rows", "weights", "mixture", "collapse"):
        assert values[f"{name}_control_rejected"], name
    for name in ("chain", "mixture", "collapse", "uniform"):
        assert values[f"{name}_power"] > 0.99, name
    assert values["order_gap"] < 1e-9
    assert values["order_control"] > 0.01
    assert values["mixture_note"] == ""


def test_kurtosis_and_typical_size_by_hand(values):
    """Relative fourth moment 1 + 5/d a layer; the mean log of a χ² mixture over the live neurons."""
    assert values["kappa"] == 5
    assert values["kurtosis_here"] == pytest.approx(3 * (69 / 64) ** 20, rel=1e-12)
    assert values["kurtosis_wide"] == pytest.approx(3 * (1 + 5 / 4096) ** 20, rel=1e-12)
    assert values["relative_sd_here"] == pytest.approx(math.sqrt((69 / 64) ** 20 - 1), rel=1e-12)
    n = np.arange(1, 65)
    chance = stats.binom.pmf(n, 64, 0.5)
    mean_log = chance @ (math.log(2) + special.digamma(n / 2)) / chance.sum()
    assert values["typical_here"] == pytest.approx(math.exp(20 * (mean_log + math.log(2 / 64))), rel=1e-10)


def test_the_absolute_output_at_order_one_by_hand(values):
    """E|z| σ with E R of width 8; the normal law of the same variance is too large."""
    moment = sum(
        math.comb(8, n) / 2**8 * math.sqrt(2) * math.exp(math.lgamma((n + 1) / 2) - math.lgamma(n / 2))
        for n in range(1, 9)
    )
    assert values["mixture_expected"] == pytest.approx(math.sqrt(2 / math.pi) / moment, rel=1e-12)
    growth = (4 / moment**2) ** 3  # E r² after six layers, to the power 1/2
    assert values["mixture_normal"] == pytest.approx(values["mixture_expected"] * growth, rel=1e-12)


def test_the_wide_limit_by_iterating_an_integral(values):
    """The map of cosines by quadrature over one coordinate, 20 times; other activations have other limits."""

    def image(c):
        spread = math.sqrt(max(1 - c * c, 0))

        def given(x):
            ratio = c * x / spread
            return x * (c * x * stats.norm.cdf(ratio) + spread * stats.norm.pdf(ratio)) * stats.norm.pdf(x)

        return 2 * integrate.quad(given, 0, 12, epsabs=1e-12)[0]

    c = 0.0
    for _ in range(20):
        c = image(c)
    assert values["cosine_wide"] == pytest.approx(c, abs=1e-9)
    assert values["map_limit"] == pytest.approx(image(0.0), abs=1e-12)


def test_the_cosine_of_two_units_by_an_integral(values):
    """Orthogonal inputs, width 2: two units alive for each are the angles of two vectors in a quadrant.

    Each vector is zero with probability 1/4, on either axis with 1/4 each, and inside with a uniform angle
    with 1/4; the two are independent.
    """
    inside = (2 / math.pi) ** 2 * 2  # E cos(a - b), both uniform on a quadrant: (E cos)² + (E sin)²
    axis = 2 / math.pi  # one on an axis, one inside
    mean = (inside + 2 * 2 * axis + (1 + 0 + 0 + 1)) / 9
    assert values["map_exact_narrow"] == pytest.approx(mean, rel=1e-12)
    assert abs(mean - 1 / math.pi) > 0.2


def test_the_rate_of_collapse_by_integration(values):
    """E log(χ_(n-1)/χ_n) from densities, mixed over n; with n - 1 for n - 2, another number."""

    def mean_log(n):
        return integrate.quad(lambda y: y * math.exp(y) * stats.chi.pdf(math.exp(y), n), -60, 5)[0]

    logs = {n: mean_log(n) for n in range(1, 65)}
    chance = {n: stats.binom.pmf(n, 64, 0.5) for n in range(2, 65)}
    rate = sum(p * (logs[n - 1] - logs[n]) for n, p in chance.items()) / sum(chance.values())
    assert values["collapse_rate"] == pytest.approx(rate, rel=1e-6)
    assert values["collapse_times_width"] == pytest.approx(1, abs=0.1)


def test_uniform_weights_by_hand(values):
    """Width 8: 8·(1/2)·E h⁴ + 56/4, E h⁴ = 9/5 along an axis and 3 - 6/40 for a flat input."""
    assert values["uniform_axis"] == pytest.approx(4 * 9 / 5 + 14, rel=1e-12)
    assert values["uniform_flat"] == pytest.approx(4 * (3 - 0.15) + 14, rel=1e-12)
    assert values["uniform_normal"] == pytest.approx(26, rel=1e-12)
    assert values["taylor_error"] < 1e-12
    assert values["uniform_largest_z"] < 4 < values["uniform_axis_control_z"]


@pytest.mark.parametrize(
    "chosen",
    [
        {"activation": "linear", "width": "4", "depth": "1", "narrow": "4", "networks": "1000"},
        {"activation": "rrelu", "s": "2", "bias_std": "0", "networks": "1000"},
        {"activation": "abs", "width": "16", "narrow": "16", "depth": "50", "networks": "1000"},
        {
            "activation": "leaky_relu",
            "negative_slope": "-0.5",
            "s": "0.25",
            "bias_std": "10",
            "networks": "1000",
        },
        {"activation": "relu", "width": "256", "narrow": "4", "depth": "50", "networks": "1000"},
    ],
)
def test_at_the_corners(chosen, tmp_path):
    values = run(tmp_path, **chosen)
    assert max(values["kernel_error"], values["recursion_error"], values["kurtosis_error"]) < 1e-11
    assert values["order_gap"] < 1e-7
    assert values["linear_error"] < 1e-12
    assert bool(values["mixture_note"]) == (chosen.get("s") == "2")


def test_the_rates_of_the_entry_tests():
    """200 seeds at level 0.05: a true mean is rejected about as often as stated, weights 5 % off always."""
    level, n, gram = 0.05, 4000, np.array([[1.0, 0.3], [0.3, 2.0]])
    right, wrong = (fr.GramChain(8, fr.ReLU(), 0.25 * scale, 0.3) for scale in (1.0, 1.05**2))
    rejected = np.zeros(2, dtype=int)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        first = np.sqrt(right.sample(n, 6, gram, rng=rng)[:, -1, 0, 1])
        for number, chain in enumerate((right, wrong)):
            other = np.sqrt(chain.sample(n, 6, gram, rng=rng)[:, -1, 0, 1])
            error = math.sqrt((first.var() + other.var()) / n)
            rejected[number] += MeanTest(first.mean(), other.mean(), error, n, level).rejected
    assert stats.binomtest(int(rejected[0]), 200, level).pvalue > 1e-3
    assert rejected[1] == 200


@pytest.mark.parametrize(
    "wrong", [{"s": "0"}, {"width": "3"}, {"activation": "tanh"}, {"bias_std": "-1"}, {"narrow": "3"}]
)
def test_a_value_out_of_range_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        run(tmp_path, **wrong)
