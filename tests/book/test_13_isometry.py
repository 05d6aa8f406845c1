"""The page on isometry: its values by other routes, its corners, and what it refuses."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "13_isometry"
EXACT = (
    *("function", "jacobian", "norm", "isometry", "block", "gain", "delta", "mirrored", "spectrum_one"),
    *("order_variance", "shatter_factor", "zero_isometry"),
)


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def angle(theta):
    """The angle after a rectified layer of infinite width, by the arc-cosine kernel."""
    cosine = (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / math.pi
    return math.acos(min(cosine, 1.0))


def test_what_the_page_reports_by_other_routes(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    for name in EXACT:
        assert values[f"{name}_error"] < 1e-11, name
    # Gradients at two inputs: the arc-cosine map, by hand.
    theta, product = math.pi / 2, 1.0
    for _ in range(20):
        product *= 1 - theta / math.pi
        theta = angle(theta)
    assert values["shatter_at_twenty"] == pytest.approx(product, rel=1e-10)
    assert values["shatter_ratio"] == pytest.approx(product * 2**20, rel=1e-10)
    # The spectrum after two of its factors, by Wick's formula for real Wishart matrices: 2 + 1/m for one.
    m = chosen["half"]
    trace, square = m, m**2
    for _ in range(values["spectrum_factors"]):
        trace, square = trace + (trace + square) / m, square + 2 * trace / m
    assert values["spectrum_exact"] == pytest.approx(trace / m, rel=1e-12)
    # One factor a matrix between two orders, from E χ_m^s by math.lgamma.
    s = chosen["s"]
    log_chi = s / 2 * math.log(2) + math.lgamma((m + s) / 2) - math.lgamma(m / 2)
    assert values["order_factor"] == pytest.approx(math.exp(9 * (0.5 * math.log(m) - log_chi / s)), rel=1e-11)
    # The edge belongs to the hidden layers and the readout: (f + 1)^(f+1) / f^f of f factors.
    f = values["spectrum_factors"] + 1
    assert values["spectrum_edge"] == pytest.approx((f + 1) ** (f + 1) / f**f, rel=1e-12)
    assert values["order_factor_error"] < 1e-9
    # Narrow networks level off where the limit falls by nearly 2³: at depth 20 to 100 by 4 at least.
    assert values["shatter_limit_fall"] > 4
    assert values["shatter_narrow_end"] > values["shatter_narrow_half"] / 2
    assert (values["raw_rank"], values["raw_size"]) == (m, 2 * m)
    assert (values["zero_identity_rank"], values["zero_identity_moved"]) == (8, 0.0)
    assert values["haar_words"] == values["spectrum_control_words"] == "is rejected"


def test_the_spectrum_after_one_factor_is_wisharts():
    """E tr (GᵀG)² for a real m × m matrix of standard normal entries is m²(2m + 1)."""
    from fracrepro.theory.isometry import ginibre_second_moments

    for m in (1, 2, 7, 100):
        assert ginibre_second_moments(1, m)[1] == pytest.approx((2 * m + 1) / m, rel=1e-14)


@pytest.mark.parametrize(
    "chosen",
    [
        {"half": "4", "depth": "10", "slope": "0.5", "s": "0"},
        {"half": "5", "depth": "12", "slope": "-0.5", "s": "2"},
        {"compared": "[torch_default]", "depth": "10", "networks": "1000", "s": "0.3"},
    ],
)
def test_at_the_corners(chosen, tmp_path):
    values = run(tmp_path, **chosen)
    for name in EXACT:
        assert values[f"{name}_error"] < 1e-11, name
    assert not values["haar_rejected"]
    assert not values["spectrum_rejected"]
    assert not values["order_rejected"]
    assert values["zero_generator_same"]
    if chosen["s"] == "2":
        assert values["order_factor"] == pytest.approx(1, abs=1e-12)


def test_the_rate_of_the_test_of_the_spectrum():
    """200 seeds at level 0.05: the exact mean is rejected about as often as stated."""
    from fracrepro.stats import mean_test
    from fracrepro.theory.isometry import ginibre_second_moments

    m, layers, expected = 8, 2, ginibre_second_moments(2, 8)[-1]
    rejected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        product = np.eye(m)
        for _ in range(layers):
            product = rng.standard_normal((1000, m, m)) / math.sqrt(m) @ product
        gram = product @ product.transpose(0, 2, 1)
        rejected += mean_test(np.sum(gram**2, axis=(1, 2)) / m, expected, level=0.05).rejected
    assert stats.binomtest(rejected, 200, 0.05).pvalue > 1e-3
