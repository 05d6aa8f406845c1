"""The tools of the page on isometry."""

import numpy as np
import pytest
import torch
from torch import nn

from fracrepro.errors import ArgumentError
from fracrepro.nn.isometry import convolution_singular_values, descend, swap_defect


def test_the_values_of_a_convolution_are_those_of_its_matrix():
    kernel = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = convolution_singular_values(kernel, 4)
    assert values.shape == (32,)
    # Frobenius: each tap counts at the places where it meets the image.
    met = torch.tensor([3, 4, 3]).double()
    total = (kernel.square().sum((0, 1)) * torch.outer(met, met)).sum()
    assert np.sum(values**2) == pytest.approx(float(total), rel=1e-12)
    one = convolution_singular_values(kernel[:, :, 1:2, 1:2], 3)
    np.testing.assert_allclose(
        one, np.repeat(torch.linalg.svdvals(kernel[:, :, 1, 1]).numpy(), 9), rtol=1e-12
    )


def test_descent_follows_the_gradient():
    model = nn.Linear(3, 2, bias=False).double()
    x, y = (
        torch.randn(5, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (3, 2)
    )
    weight = model.weight.detach().clone()
    assert descend(model, x, y, steps=1, rate=0.1) is model
    expected = weight - 0.1 * 2 / 10 * (x @ weight.T - y).T @ x
    torch.testing.assert_close(model.weight.detach(), expected, rtol=1e-13, atol=0)
    assert descend(model, x, y, steps=0, rate=1.0).weight.grad is None


def test_a_mirrored_matrix_has_no_defect():
    a, b = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert swap_defect(torch.cat([torch.cat([a, b], 1), torch.cat([b, a], 1)])) == 0
    assert swap_defect(torch.cat([torch.cat([a, b], 1), torch.cat([a, b], 1)])) > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolution_singular_values(torch.ones(1, 1, 2, 2), 3), "k odd"),
        (lambda: convolution_singular_values(torch.ones(1, 1, 3), 3), "k odd"),
        (lambda: convolution_singular_values(torch.ones(1, 1, 3, 3), 0), "size = 0"),
        (lambda: descend(nn.Linear(1, 1), torch.ones(1, 1), torch.ones(1, 1), steps=-1, rate=1.0), "steps"),
        (lambda: descend(nn.Linear(1, 1), torch.ones(1, 1), torch.ones(1, 1), steps=1, rate=0.0), "rate"),
        (lambda: swap_defect(torch.ones(3, 2)), "need an even matrix"),
        (lambda: swap_defect(torch.zeros(2, 2)), "not zero"),
    ],
)
def test_what_is_out_of_range_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
