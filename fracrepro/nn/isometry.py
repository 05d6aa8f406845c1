"""A convolution as a matrix, and training that may break the mirror of a looks-linear start."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fracrepro.arguments import integer, real
from fracrepro.errors import ArgumentError

__all__ = ["convolution_singular_values", "descend", "swap_defect"]


def convolution_singular_values(kernel: Tensor, size: int) -> np.ndarray:
    """Return the singular values of a convolution with zero padding that keeps the size, as a matrix.

    Args:
        kernel: of shape ``(n_out, n_in, k, k)`` with k odd.
        size: side of the square images, an integer from 1.

    Returns:
        min(n_out, n_in)·size² values, in descending order.

    Raises:
        ArgumentError: for another kernel or size.

    Source:
        Ours.

    >>> kernel = torch.zeros(1, 1, 3, 3)
    >>> kernel[0, 0, 1, 1] = 2.0
    >>> convolution_singular_values(kernel, 2).tolist()
    [2.0, 2.0, 2.0, 2.0]
    """
    if kernel.ndim != 4 or kernel.shape[2] != kernel.shape[3] or kernel.shape[2] % 2 == 0:
        raise ArgumentError(f"kernel of shape {tuple(kernel.shape)}: need (n_out, n_in, k, k) with k odd")
    size = integer("size", size, "[1, 1000]")
    n_in = kernel.shape[1]
    basis = torch.eye(n_in * size**2, dtype=kernel.dtype).reshape(-1, n_in, size, size)
    with torch.no_grad():
        images = nn.functional.conv2d(basis, kernel, padding=kernel.shape[2] // 2)
    return torch.linalg.svdvals(images.flatten(1)).double().numpy()


def descend(model: nn.Module, x: Tensor, y: Tensor, *, steps: int, rate: float) -> nn.Module:
    """Train in place by gradient descent on the mean squared error of all data at once, and return the model.

    Args:
        model: any module of one argument.
        x: inputs.
        y: targets.
        steps: an integer from 0.
        rate: step size, positive.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Ours.

    >>> one = nn.Linear(1, 1, bias=False)
    >>> _ = descend(one, torch.ones(1, 1), torch.ones(1, 1), steps=50, rate=0.5)
    >>> one.weight.item()
    1.0
    """
    steps, rate = integer("steps", steps, "[0, 1000000]"), real("rate", rate, "(0, inf)")
    parameters = list(model.parameters())
    for _ in range(steps):
        gradients = torch.autograd.grad((model(x) - y).square().mean(), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(rate * gradient)
    return model


def swap_defect(weight: Tensor) -> float:
    r"""Return how far a matrix is from itself after the halves of rows and of columns change places.

    .. math:: \Bigl\| \begin{pmatrix} W_{22} & W_{21} \\ W_{12} & W_{11} \end{pmatrix} - W \Bigr\| / \|W\|

    Args:
        weight: with even numbers of rows and columns.

    Raises:
        ArgumentError: for another shape, or a matrix of zeros.

    Source:
        Ours.

    >>> swap_defect(torch.eye(4))
    0.0
    >>> round(swap_defect(torch.diag(torch.tensor([1.0, 0.0]))), 4)
    1.4142
    """
    if weight.ndim != 2 or weight.shape[0] % 2 or weight.shape[1] % 2 or not weight.any():
        raise ArgumentError(f"weight of shape {tuple(weight.shape)}: need an even matrix that is not zero")
    values = weight.detach().double()
    swapped = values.roll((values.shape[0] // 2, values.shape[1] // 2), (0, 1))
    return float((swapped - values).norm() / values.norm())
