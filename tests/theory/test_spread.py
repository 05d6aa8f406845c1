"""Moments of Jacobians against the counting of all small networks, and against laws that are known."""

import math

import numpy as np
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.oracle import enumeration
from fracrepro.theory.activations import Abs, LeakyReLU, Linear, ReLU, RReLU
from fracrepro.theory.isometry import ginibre_second_moments
from fracrepro.theory.spread import LAWS, JacobianMoments


def values(moments):
    return np.array(
        [moments.trace, moments.squared_trace, moments.trace_of_square, moments.diagonal], dtype=float
    )


def chain(layers, width, variance, activation, law, start=None):
    moments = JacobianMoments.identity(start or width)
    for _ in range(layers):
        moments = moments.layer(width, variance, activation, law)
    return moments


@pytest.mark.parametrize("slope", [0.01, 0.0, -0.5, 0.7])
@pytest.mark.parametrize("law", ["gaussian", "uniform"])
def test_against_every_network_of_two_layers(slope, law):
    found = chain(2, 2, 0.7, LeakyReLU(slope), law)
    counted = enumeration.jacobian_moments(slope, 0.7, LAWS[law])
    np.testing.assert_allclose(values(found), counted, rtol=1e-13)
    # The controls: another fourth moment, and biases, which tie the signs to the weights.
    other = enumeration.jacobian_moments(slope, 0.7, 2.4)
    assert np.abs(values(found) / other - 1)[1:].min() > 0.02
    biased = enumeration.jacobian_moments(slope, 0.7, LAWS[law], bias=0.5)
    assert abs(found.trace / biased[0] - 1) > 0.02


@pytest.mark.parametrize("slope", [0.01, 0.0, -0.5, 0.7])
def test_orthogonal_against_every_pair_of_turns_and_reflections(slope):
    found = chain(2, 2, 1.3**2 / 2, LeakyReLU(slope), "orthogonal")
    np.testing.assert_allclose(values(found), enumeration.orthogonal_jacobian_moments(slope, 1.3), rtol=1e-13)
    assert np.abs(values(chain(2, 2, 1.3**2 / 2, LeakyReLU(slope), "gaussian")) / values(found) - 1)[1] > 0.1


def test_four_turns_are_too_few():
    # The control of the counting: quarter turns have the signs of Haar measure, and not its fourth moments.
    exact = values(chain(2, 2, 0.5, LeakyReLU(0.01), "orthogonal"))
    np.testing.assert_allclose(enumeration.orthogonal_jacobian_moments(0.01, 1.0, 12), exact, rtol=1e-13)
    assert abs(enumeration.orthogonal_jacobian_moments(0.01, 1.0, 4)[3] / exact[3] - 1) > 0.1


@pytest.mark.parametrize("size", [1, 3, 8])
def test_linear_layers_follow_the_recursion_of_ginibre_products(size):
    found = [chain(depth, size, 1 / size, None, "gaussian").trace_of_square / size for depth in range(6)]
    np.testing.assert_allclose(found, ginibre_second_moments(5, size), rtol=1e-13)


def test_one_layer_by_hand():
    # A single neuron with n inputs: J Jᵀ = A² ‖w‖², and E ‖w‖⁴ = n(n + 2) v² for normal weights.
    one = JacobianMoments.identity(5).layer(1, 0.3, ReLU())
    np.testing.assert_allclose(values(one), [0.5 * 1.5, *[0.5 * 35 * 0.09] * 3], rtol=1e-14)
    uniform = JacobianMoments.identity(5).layer(1, 0.3, ReLU(), "uniform")
    assert uniform.trace_of_square == pytest.approx(0.5 * 0.09 * (5 * 1.8 + 20), rel=1e-14)
    # Orthonormal rows keep the Jacobian of an isometry one, whatever the shape; columns keep its spectrum.
    for width in (1, 3, 8, 20):
        rows = JacobianMoments.identity(8).layer(width, 1 / max(width, 8), None, "orthogonal")
        assert rows.trace == pytest.approx(min(width, 8), rel=1e-14)
        assert rows.rank == pytest.approx(min(width, 8), rel=1e-12)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("activation", [ReLU(), LeakyReLU(0.01), Abs(), RReLU(0.1, 0.3), Linear()])
def test_the_rank_does_not_depend_on_the_variance_and_falls_to_one(law, activation):
    ranks = [chain(depth, 8, 0.2, activation, law).rank for depth in (1, 4, 16, 300)]
    np.testing.assert_allclose(ranks, [chain(k, 8, 0.11, activation, law).rank for k in (1, 4, 16, 300)])
    flat = law == "orthogonal" and isinstance(activation, (Abs, Linear))
    assert ranks[-1] == pytest.approx(8 if flat else 1, rel=1e-6)
    assert flat or ranks == sorted(ranks, reverse=True)


def test_wide_networks_meet_the_known_growth():
    """1 + L μ₂/μ₁² for Gaussian, 1 + L (μ₂/μ₁² - 1) for orthogonal matrices: width over rank in the limit."""
    phi, width = LeakyReLU(0.1), 10**7
    ratio = phi.even_moment(2) / phi.even_moment(1) ** 2
    for law, step in (("gaussian", ratio), ("orthogonal", ratio - 1), ("uniform", ratio)):
        for depth in (1, 5, 20):
            spread = width / chain(depth, width, 1 / width, phi, law).rank
            assert spread == pytest.approx(1 + depth * step, rel=1e-3)


def test_refusals():
    start = JacobianMoments.identity(4)
    for problem, match in (
        (lambda: JacobianMoments.identity(0), "size"),
        (lambda: start.layer(0, 1.0), "width"),
        (lambda: start.layer(4, 0.0), "variance"),
        (lambda: start.layer(4, math.inf), "variance"),
        (lambda: start.layer(4, 1e200), "no floats"),
        (lambda: start.layer(4, 1e-200), "no floats"),
        (lambda: start.layer(4, 1.0, "relu"), "activation"),
        (lambda: start.layer(4, 1.0, law="cauchy"), "law"),
    ):
        with pytest.raises(ArgumentError, match=match):
            problem()
