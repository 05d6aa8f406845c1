"""The kernel of a layer with negative biases: closed forms against quadrature and torch's derivatives."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from fracrepro.errors import ArgumentError
from fracrepro.nn.demonstrations import sparse_bias

RNG = np.random.default_rng(18)
INPUTS, TARGETS = sparse_bias.sphere(12, 5, RNG)


def by_quadrature(cosine, bias):
    """P(u ≥ B, v ≥ B) by an integral over u, which shares no function with Owen's."""
    scale = math.sqrt(1 - cosine**2)

    def inner(u):
        return stats.norm.pdf(u) * stats.norm.sf((bias - cosine * u) / scale)

    return integrate.quad(inner, bias, bias + 12, epsabs=1e-14, epsrel=1e-13, limit=200)[0]


@pytest.mark.parametrize("bias", [-1.0, 0.0, 0.5, 1.5, 3.0])
@pytest.mark.parametrize("cosine", [-0.95, -0.3, 0.0, 0.4, 0.99])
def test_both_active_is_the_integral(cosine, bias):
    found = float(sparse_bias.both_active(cosine, bias))
    assert found == pytest.approx(by_quadrature(cosine, bias), rel=1e-9, abs=1e-14)
    if abs(cosine) > 0.1:  # the control: two neurons that fire independently
        assert abs(found - special.ndtr(-bias) ** 2) > 1e-7


def test_both_active_at_the_ends():
    assert sparse_bias.both_active([1.0, -1.0], 0.7).tolist() == [special.ndtr(-0.7), 0.0]
    # B = 0 is the arc-cosine kernel of order 0.
    cosine = np.linspace(-1, 1, 9)
    expected = (np.pi - np.arccos(cosine)) / (2 * np.pi)
    np.testing.assert_allclose(sparse_bias.both_active(cosine, 0.0), expected, rtol=0, atol=1e-15)


def test_the_kernel_of_a_network_is_the_sum_over_its_neurons():
    weights, signs = RNG.standard_normal((200, 5)), RNG.choice([-1.0, 1.0], 200)
    biases = np.full(200, -0.8)
    derived = sparse_bias.finite_kernel(INPUTS, weights, biases)
    by_torch = sparse_bias.network_kernel(INPUTS, weights, biases, signs)
    np.testing.assert_allclose(derived, by_torch, rtol=1e-12, atol=1e-15)
    cosines = INPUTS @ INPUTS.T
    frozen = derived * cosines / (cosines + 1)  # the control: biases that are not trained
    assert np.abs(frozen - by_torch).max() > 0.01


def test_many_neurons_have_the_limit_kernel():
    """Shares of m neurons for 66 pairs, within 4 standard errors (false alarm 0.004); control: B + 0.1."""
    m, bias = 100_000, 1.0
    weights = np.random.default_rng(7).standard_normal((m, 5))
    found = sparse_bias.finite_kernel(INPUTS, weights, np.full(m, -bias))
    pairs = np.triu_indices(12, 1)

    def deviation(at):
        probability = sparse_bias.both_active((INPUTS @ INPUTS.T)[pairs], at)
        error = np.sqrt(probability * (1 - probability) / m)
        share = (found / (INPUTS @ INPUTS.T + 1))[pairs]
        return np.abs(share - probability) / error

    assert deviation(bias).max() < 4
    assert deviation(bias + 0.1).max() > 8
    limit = sparse_bias.limit_kernel(INPUTS, bias)
    np.testing.assert_allclose(np.diag(limit), 2 * special.ndtr(-bias), rtol=1e-12)


def test_training_is_gradient_descent_on_the_loss():
    """One step against torch's derivatives of the loss."""
    import torch

    curves = sparse_bias.train(INPUTS, TARGETS, 0.5, 50, 2, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    w = torch.tensor(rng.standard_normal((50, 5)), requires_grad=True)
    a = torch.tensor(rng.choice([-1.0, 1.0], 50) / math.sqrt(50))
    b = torch.full((50,), -0.5, dtype=torch.float64, requires_grad=True)

    def loss():
        error = torch.relu(torch.tensor(INPUTS) @ w.T + b) @ a - torch.tensor(TARGETS)
        return 0.5 * (error**2).sum()

    first = loss()
    first.backward()
    step = 1 / np.linalg.eigvalsh(sparse_bias.limit_kernel(INPUTS, 0.5))[-1]
    with torch.no_grad():
        w -= step * w.grad
        b -= step * b.grad
    expected = [first.item(), loss().item()]
    np.testing.assert_allclose(curves["loss"], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sparse_bias.both_active(1.1, 0.0),
        lambda: sparse_bias.both_active(0.0, math.inf),
        lambda: sparse_bias.limit_kernel(2 * INPUTS, 0.0),
        lambda: sparse_bias.sphere(1, 5, RNG),
        lambda: sparse_bias.train(INPUTS, TARGETS, 0.0, 0, 1, RNG),
    ],
)
def test_what_is_out_of_range_is_refused(call):
    with pytest.raises(ArgumentError):
        call()
