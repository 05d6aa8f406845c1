"""The page on diagnosis: its values against ones computed another way, its corners, and what it refuses."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special

import fracrepro as fr
from fracrepro.theory import passes
from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "16_diagnosis"


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def test_the_page_finds_what_it_claims(book):
    record = book.record(NAME)
    values, chosen = record["values"], record["parameters"]
    # A factor a layer moves a bias-free network's log-norm by its logarithm, to rounding.
    assert values["exploding_rate"] - values["kaiming_rate"] == pytest.approx(math.log(1.4), abs=1e-11)
    assert values["vanishing_rate"] - values["kaiming_rate"] == pytest.approx(math.log(0.7), abs=1e-11)
    assert abs(values["healthy_rate"]) < 1e-12
    assert values["healthy_isometry"] < 1e-12
    assert values["kaiming_condition"] > 10
    assert values["product_error"] < 1e-12
    assert values["kaiming_cosine"] > values["first_cosine"] + 0.1
    assert abs(values["healthy_cosine"] - values["first_cosine"]) < 0.2
    assert values["dead_share"] > 0.9
    # The share that standardizing removes, with trigamma from its series.
    trigamma = lambda x: math.fsum(1 / (x + k) ** 2 for k in range(200_000)) + 1 / (x + 200_000)  # noqa: E731
    assert values["removed_eight"] == pytest.approx(trigamma(32) / trigamma(4), rel=1e-6)
    assert values["half_exact"] == pytest.approx(
        fr.critical_variance(1.0, values["block_width"], fr.ReLU()) ** -0.5 / values["block_width"] ** 0.5,
        rel=1e-12,
    )
    assert values["walks_rejected"] == 0
    assert values["walks_control_rejected"] == 3
    assert abs(values["spread_ratio_error"]) < values["spread_ratio_allowed"]
    assert chosen["starts"] == values["starts"]
    # The repeat has draws of its own and the start without division is no LSUV.
    assert values["again_size"] >= chosen["networks"]
    assert values["again_estimate"] != values["half_estimate"]
    assert not values["again_rejected"]
    assert values["start_sd_fresh"] > values["lsuv_sd_fresh"]
    assert values["division_ratio"] == pytest.approx(values["lsuv_sd_fresh"] / values["start_sd_fresh"])
    assert (values["control_words"], values["half_words"]) == ("is rejected", "does not reject")


def test_the_blocks_have_the_law_by_an_integral_of_their_mean():
    """E λ_max = ½ (g/2)^(L-1) for every hidden block, by enumeration of the masks of two narrow layers.

    Two layers of width 2: given the masks everything is Gaussian, so the mean is a sum over 16 masks whose
    terms have closed forms; here the weights are integrated by Gauss-Hermite quadrature instead.
    """
    nodes, weights = special.roots_hermitenorm(24)
    weights = weights / weights.sum()
    sigma = math.sqrt(1.3 / 2)
    rows = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    mass = np.outer(weights, weights).ravel()
    means = np.zeros(2)
    # First layer at x = e_1: its first column alone matters, and of it the output.
    for z, m in zip(sigma * rows, mass, strict=True):
        x = np.maximum(z, 0)
        # The rows of the second layer have one law, and squared norms are sums over them: twice the mean.
        up = (sigma * rows @ x > 0) * 1.0
        # The read-out v has variance 1/2: E over v of squared norms of the gradients at z_2 and z_1.
        at_second = 2 * up / 2
        at_first = 2 * 0.5 * ((up[:, None] * sigma * rows * (z > 0)) ** 2).sum(1)
        means += m * np.array([mass @ at_first, (x @ x) * (mass @ at_second)])
    # Kinks at zero cost the quadrature digits, but not these; another variance would be seen.
    assert means == pytest.approx([0.5 * 1.3 / 2] * 2, rel=0.03)
    assert means != pytest.approx([0.5] * 2, rel=0.03)


def test_a_block_s_norm_is_that_of_the_weights_gradient():
    rng = np.random.default_rng(3)
    layers = list(passes.forward(np.ones((4, 3)), [0.7, 0.9], fr.ReLU(), rng, widths=[5, 6]))
    gradients = list(passes.backward(layers, rng.standard_normal((4, 6))))[::-1]
    for layer, (h, _) in zip(layers, gradients, strict=True):
        outer = h[:, :, None] * layer.inputs[:, None, :]
        assert passes.norms(layer.inputs) * passes.norms(h) == pytest.approx(
            np.linalg.norm(outer, axis=(1, 2)), rel=1e-12
        )


@pytest.mark.parametrize(
    "chosen",
    [
        {"width": "20", "depth": "4", "networks": "200", "starts": "20", "images": "16"},
        {"width": "33", "depth": "30", "networks": "300", "starts": "20", "images": "64", "seed": "5"},
    ],
)
def test_at_the_corners(chosen, tmp_path):
    values = run(tmp_path, **chosen)
    for name in ("mean", "variance", "single", "one_number", "cosine", "standardized_moments"):
        assert values[f"{name}_error"] < 1e-9, name
    assert values["block_error"] < 1e-10
    assert values["healthy_isometry"] < 1e-11


@pytest.mark.parametrize("wrong", [{"width": "19"}, {"images": "701"}, {"networks": "199"}, {"depth": "3"}])
def test_a_value_out_of_range_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        run(tmp_path, **wrong)
