"""Unfolded soft thresholding: its Jacobian by two routes, and the rank that counting gives."""

import numpy as np
import pytest

from fracrepro.errors import ArgumentError
from fracrepro.nn.demonstrations import unfolded


def drawn(samples, unknowns=12, seed=24):
    return unfolded.draw(unknowns, 6, samples, np.random.default_rng([seed, unknowns, samples]))


def test_the_jacobian_is_that_of_the_derivatives():
    layers, y, _ = drawn(5)
    by_torch = unfolded.autograd_jacobian(layers, y)
    count = unfolded.parameters(12, 6)
    np.testing.assert_allclose(unfolded.jacobian(layers, y), by_torch[:, :count], rtol=1e-11, atol=1e-14)
    assert by_torch.shape[1] == count + 144
    assert np.all(by_torch[:, count:] == 0)  # B of the first step acts on nothing
    # The control: it does once x_0 is not 0.
    begin = np.random.default_rng(1).standard_normal((5, 12))
    assert np.abs(unfolded.autograd_jacobian(layers, y, begin)[:, count:]).max() > 0.01


@pytest.mark.parametrize("unknowns", [6, 12, 18])
@pytest.mark.parametrize("beyond", [-12, -1, 0, 1, 8])
def test_the_rank_is_what_counting_gives(unknowns, beyond):
    samples = 12 + unknowns + beyond  # up to 2·6 + unknowns of them all outputs are free
    layers, y, _ = drawn(samples, unknowns)
    values = np.linalg.svd(unfolded.jacobian(layers, y), compute_uv=False)
    expected = min(unknowns * samples, unfolded.parameters(unknowns, 6))
    # Above rounding by four digits, and nothing beyond: the matrix has no more rows or columns.
    assert int(np.sum(values > 1e-11 * values[0])) == expected == min(unknowns * samples, len(values))
    assert (unknowns * samples <= unfolded.parameters(unknowns, 6)) == (beyond <= 0)


def test_a_start_for_each_sample_frees_the_first_matrix():
    """The control of the count: with x_0 drawn, 30 samples of 12 unknowns have rank 360, not 288."""
    layers, y, _ = drawn(30)
    begin = np.random.default_rng(3).standard_normal((30, 12))
    values = np.linalg.svd(unfolded.autograd_jacobian(layers, y, begin), compute_uv=False)
    assert int(np.sum(values > 1e-11 * values[0])) == 360
    assert np.linalg.matrix_rank(unfolded.jacobian(layers, y), tol=1e-11 * values[0]) == 288


def test_training_is_gradient_descent_on_the_loss():
    layers, y, x = drawn(3)
    error = unfolded.outputs(layers, y) - x
    jacobian = unfolded.jacobian(layers, y)
    step = jacobian.T @ error.ravel() / np.linalg.norm(jacobian, 2) ** 2
    sizes = np.cumsum([layer.size for layer in layers])[:-1]
    parts = zip(layers, np.split(step, sizes), strict=True)
    after = unfolded.Layers(*(layer - part.reshape(layer.shape) for layer, part in parts))
    expected = 0.5 * np.sum(error**2), 0.5 * np.sum((unfolded.outputs(after, y) - x) ** 2)
    np.testing.assert_allclose(unfolded.train(layers, y, x, 2)["loss"], expected, rtol=1e-12)


def test_the_threshold_is_smooth_and_odd_and_shrinks():
    h = np.linspace(-8, 8, 33)
    np.testing.assert_allclose(unfolded.soft(-h), -unfolded.soft(h), rtol=0, atol=1e-15)
    np.testing.assert_allclose(unfolded.soft(np.array([60.0])), 60.0 - unfolded.THRESHOLD, rtol=1e-14)


@pytest.mark.parametrize("sizes", [(0, 6, 1), (12, 0, 1), (12, 6, 0)])
def test_what_is_out_of_range_is_refused(sizes):
    with pytest.raises(ArgumentError):
        unfolded.draw(*sizes, np.random.default_rng(1))
