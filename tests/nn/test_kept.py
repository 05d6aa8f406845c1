"""What a start keeps: exact moments against real networks, and against networks drawn with all weights."""

import dataclasses

import numpy as np
import pytest
import torch

from fracrepro.errors import ArgumentError
from fracrepro.nn import schemes
from fracrepro.nn.diagnosis import jacobian_singular_values
from fracrepro.nn.kept import drawn_jacobians, hidden_moments
from fracrepro.nn.training.network import Network, build_module
from fracrepro.nn.training.start import initial_parameters
from fracrepro.stats import mean_test

SMALL = Network((1, 4, 4), depth=5, width=8, readout="linear", start_bias="zero")
FRAMED = dataclasses.replace(SMALL, frame="kaiming")


def real_values(net, scheme, seeds, images=1):
    """Squared singular values of real modules, from the image to the last hidden layer."""
    found = []
    for seed in seeds:
        parameters = initial_parameters(net, scheme, seed)
        module = build_module(net)
        module.load_state_dict(parameters)
        cut = next(
            k for k, (name, _) in enumerate(module.named_children()) if name == f"dense{net.depth - 1}"
        )
        hidden = module[:cut].double()
        x = torch.randn(images, *net.image_shape, generator=torch.Generator().manual_seed(seed))
        found.append(jacobian_singular_values(hidden, x.double()) ** 2)
    return np.array(found)


@pytest.mark.parametrize("name", ["kaiming", "xavier", "lyapunov", "kaiming_uniform", "orthogonal"])
def test_drawn_networks_have_these_moments(name):
    scheme, generator = schemes.make(name), torch.Generator().manual_seed(3)
    exact = hidden_moments(FRAMED, scheme)
    squares, fourths = drawn_jacobians(FRAMED, scheme, 20_000, generator)
    for sample, expected in (
        (squares, exact.trace),
        (squares**2, exact.squared_trace),
        (fourths, exact.trace_of_square),
    ):
        assert not mean_test(sample, expected, level=0.001 / 15).rejected
        # The control: a quarter more is told apart.
        assert mean_test(sample, 1.25 * expected, level=0.001 / 15).rejected


def test_real_starts_are_those_that_the_moments_are_of():
    """Over 200 seeds: the first moment of real float32 starts, with a control at another order."""
    for name in ("fractional", "torch_default"):
        scheme = schemes.make(name)
        traces = real_values(FRAMED, scheme, range(200)).sum(axis=(1, 2))
        exact = hidden_moments(FRAMED, scheme).trace
        assert not mean_test(traces / exact, 1.0, level=0.001).rejected
        assert mean_test(traces / exact, 2.0, level=0.001).rejected


def test_a_looks_linear_start_is_an_isometry_or_a_gaussian_product():
    mirrored = schemes.make("looks_linear", base="orthogonal")
    exact = hidden_moments(SMALL, mirrored)
    assert exact.rank == pytest.approx(4, rel=1e-12)  # half the width
    values = real_values(SMALL, mirrored, range(3))
    np.testing.assert_allclose(values.sum(axis=2), exact.trace, rtol=1e-5)
    np.testing.assert_allclose((values**2).sum(axis=2), exact.trace_of_square, rtol=1e-5)
    gaussian = hidden_moments(SMALL, schemes.make("looks_linear"))
    assert 1 < gaussian.rank < 3
    traces = real_values(SMALL, schemes.make("looks_linear"), range(200)).sum(axis=(1, 2))
    assert not mean_test(traces / gaussian.trace, 1.0, level=0.001).rejected


def test_zero_is_one_gaussian_layer_and_a_slope():
    exact = hidden_moments(FRAMED, schemes.make("zero"))
    values = real_values(FRAMED, schemes.make("zero"), range(200))
    traces, fourths = values.sum(axis=(1, 2)), (values**2).sum(axis=(1, 2))
    assert not mean_test(traces, exact.trace, level=0.001).rejected
    assert not mean_test(fourths, exact.trace_of_square, level=0.001).rejected
    assert mean_test(fourths, hidden_moments(FRAMED, schemes.make("kaiming")).trace_of_square).rejected


def test_all_scales_share_one_rank():
    same = [
        hidden_moments(FRAMED, schemes.make(name)).rank
        for name in ("kaiming", "fractional", "lyapunov", "xavier", "random_walk")
    ]
    np.testing.assert_allclose(same, same[0], rtol=1e-12)
    assert hidden_moments(FRAMED, schemes.make("orthogonal")).rank > 1.2 * same[0]


def test_refusals():
    for network, scheme, match in (
        (SMALL, "lsuv", "looks at data"),
        (SMALL, "zero", "first layer"),
        (FRAMED, "looks_linear", "leaves first and last"),
        (Network((1, 8, 8), depth=1, width=4), "kaiming", "hidden"),
        (Network((1, 28, 28), depth=3, width=4, channels=(4,)), "kaiming", "convolutions"),
    ):
        with pytest.raises(ArgumentError, match=match):
            hidden_moments(network, schemes.make(scheme))
    with pytest.raises(ArgumentError, match="networks"):
        drawn_jacobians(SMALL, schemes.make("kaiming"), 0, torch.Generator())
