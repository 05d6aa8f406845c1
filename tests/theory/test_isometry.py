"""Spectra of products and gradients at two inputs, against other formulas and small cases."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Abs, Dropout, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.isometry import (
    fuss_catalan_edge,
    fuss_catalan_moment,
    ginibre_second_moments,
    gradient_correlations,
)


def test_one_factor_is_marchenko_and_pasturs():
    for order in range(8):
        catalan = math.comb(2 * order, order) / (order + 1)
        assert fuss_catalan_moment(1, order) == catalan
    density = lambda x: math.sqrt((4 - x) / x) / (2 * math.pi)  # noqa: E731  # of a squared singular value
    second = integrate.quad(lambda x: x**2 * density(x), 0, 4)[0]
    assert fuss_catalan_moment(1, 2) == pytest.approx(second, rel=1e-9)
    assert fuss_catalan_edge(1) == 4.0
    assert fuss_catalan_edge(0) == fuss_catalan_moment(0, 5) == 1.0
    # The moments grow at the rate of the edge; half as fast an edge would be seen.
    rate = fuss_catalan_moment(3, 101) / fuss_catalan_moment(3, 100)
    assert rate == pytest.approx(fuss_catalan_edge(3), rel=0.02)


def test_the_recursion_by_hand_and_its_limit():
    # Width 1: a product of standard normal variables, E z⁴ = 3.
    np.testing.assert_allclose(ginibre_second_moments(12, 1), 3.0 ** np.arange(13), rtol=1e-13)
    # One factor: E tr (GᵀG)² = m²(2m + 1) for a real Wishart matrix.
    for m in (2, 5, 64):
        assert ginibre_second_moments(1, m)[1] == pytest.approx(2 + 1 / m, rel=1e-14)
    for depth in (1, 5, 20):
        exact = ginibre_second_moments(depth, 1_000_000)[-1]
        assert exact == pytest.approx(fuss_catalan_moment(depth, 2), rel=1e-4)
        assert exact > fuss_catalan_moment(depth, 2)


def test_two_factors_by_enumeration_of_gaussian_quadrature():
    """E tr (JᵀJ)² at m = 2 and two factors, exactly: Gauss-Hermite nodes for all eight entries."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)  # exact to degree 5, and each entry has degree 4
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(*[nodes] * 8, indexing="ij"), -1).reshape(-1, 2, 2, 2) / math.sqrt(2)
    chance = np.prod(np.stack(np.meshgrid(*[weights] * 8, indexing="ij"), -1), -1).ravel()
    product = grid[:, 0] @ grid[:, 1]
    gram = product @ product.transpose(0, 2, 1)
    value = float(chance @ np.sum(gram**2, axis=(1, 2))) / 2
    assert ginibre_second_moments(2, 2)[2] == pytest.approx(value, rel=1e-12)
    assert abs(value - fuss_catalan_moment(2, 2)) > 1  # the control: the limit is another number


@pytest.mark.parametrize("activation", [ReLU(), LeakyReLU(0.3), LeakyReLU(-0.5), Abs(), Linear()])
def test_the_factor_of_a_layer_by_integration(activation):
    """E φ'(u) φ'(v)/E φ'² for correlated normal u, v, with the probability of equal signs as an integral."""
    p, n = activation.slopes.positive[0], activation.slopes.negative[0]
    for cosine in (0.0, 0.4, -0.3, 0.9):
        tail = lambda z: stats.norm.pdf(z) * stats.norm.cdf(cosine * z / math.sqrt(1 - cosine**2))  # noqa: B023, E731
        both = integrate.quad(tail, 0, 12, epsabs=1e-13, epsrel=1e-13)[0]
        expected = ((p**2 + n**2) * both + 2 * p * n * (0.5 - both)) / ((p**2 + n**2) / 2)
        assert gradient_correlations(1, activation, cosine)[1] == pytest.approx(expected, abs=1e-11)


def test_the_correlation_falls_like_the_cube_of_the_depth():
    for activation in (ReLU(), LeakyReLU(0.3), LeakyReLU(-0.5)):
        found = gradient_correlations(4000, activation)
        exponents = [-math.log2(found[2 * k] / found[k]) for k in (500, 2000)]
        assert abs(exponents[1] - 3) < 0.03
        assert abs(exponents[1] - 3) < abs(exponents[0] - 3)
    np.testing.assert_array_equal(gradient_correlations(50, Linear()), 1.0)
    np.testing.assert_array_equal(gradient_correlations(50, ReLU(), 1.0), 1.0)
    assert gradient_correlations(10, ReLU())[10] > 30 * 2.0**-10


def test_wide_networks_come_near():
    """One layer is exact at every width: E tr J J'ᵀ over E tr J Jᵀ; five standard errors, below 6e-7."""
    rng, m, n = np.random.default_rng(0), 32, 2000
    weights = rng.standard_normal((n, m, m))
    masks = [(weights[:, :, k] > 0).astype(float) for k in (0, 1)]  # at the first two unit vectors
    squares = np.sum(weights**2, axis=2)
    cross, own = np.sum(masks[0] * masks[1] * squares, 1), np.sum(masks[0] * squares, 1)
    values = cross - 0.5 * own
    assert abs(values.mean()) < 5 * values.std() / math.sqrt(n)
    control = cross - 0.45 * own
    assert abs(control.mean()) > 5 * control.std() / math.sqrt(n)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fuss_catalan_moment(-1, 2), "depth = -1"),
        (lambda: fuss_catalan_moment(2, 1001), "order = 1001"),
        (lambda: fuss_catalan_moment(50000, 1000), "is no float"),
        (lambda: fuss_catalan_edge(1.5), r"depth = 1\.5"),
        (lambda: ginibre_second_moments(3, 0), "width = 0"),
        (lambda: ginibre_second_moments(100_000, 1), "is no float"),
        (lambda: gradient_correlations(3, RReLU()), "need fixed slopes"),
        (lambda: gradient_correlations(3, Dropout(ReLU(), 0.1)), "need fixed slopes"),
        (lambda: gradient_correlations(3, ReLU(), 1.1), r"cosine = 1\.1"),
        (lambda: gradient_correlations(3, "relu"), "activation = 'relu'"),
    ],
)
def test_what_is_out_of_range_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
