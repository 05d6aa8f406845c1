"""Norms of signals and gradients from real weight matrices: the slow reference for the scalar reduction.

Everything the theory says about a network's norm comes from one scalar law per layer.
Here nothing is reduced: every weight is drawn, every product is computed, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fracrepro.arguments import integer, integers, reals
from fracrepro.errors import ArgumentError
from fracrepro.nn.activations import draw_slopes
from fracrepro.theory.activations import Activation, check_activation

__all__ = ["backward_log_norms", "forward_log_norms"]

CHUNK = 1 << 25  # weights held at a time: 256 MiB in float64


def forward_log_norms(
    n: int,
    widths: Sequence[int],
    activation: Activation,
    variance: float | Sequence[float],
    *,
    generator: torch.Generator,
) -> np.ndarray:
    r"""Return the log-norms of the layers of `n` random networks without biases.

    .. math:: \log(r_k / r_0), \quad r_k = \lVert x_k \rVert_2, \quad x_{k+1} = \varphi(W_{k+1} x_k),
              \quad W_{k+1} \sim N(0, \sigma_{k+1}^2)

    Args:
        n: number of networks, at least 1.
        widths: d_0 (input), d_1, …, d_k, each at least 1.
        activation: applied after every layer; random slopes and dropout masks are drawn for each network.
        variance: of the weights, one for all layers or one per layer, positive.
        generator: source of all draws; its device does the work.

    Returns:
        float64 of shape (n, k + 1), −inf from the layer on where a network is dead.

    Raises:
        ArgumentError: for an argument outside these ranges.

    Source:
        The network of page 02, def-network; the laws it must follow are the theory's.

    >>> from fracrepro.theory.activations import ReLU
    >>> generator = torch.Generator().manual_seed(0)
    >>> two = forward_log_norms(2, (3, 5, 5), ReLU(), 0.4, generator=generator)
    >>> two.shape, two[:, 0].tolist()
    ((2, 3), [0.0, 0.0])
    """
    n, sizes, variances = _check(n, widths, activation, variance)
    parts = []
    for count in _chunks(n, max(map(_area, zip(sizes[1:], sizes[:-1], strict=True)))):
        # The law does not depend on the direction of the input; a unit vector makes r_0 = 1.
        x = torch.zeros(count, sizes[0], 1, dtype=torch.float64, device=generator.device)
        x[:, 0] = 1.0
        norms = [_log_norm(x)]
        for n_in, n_out, sigma2 in zip(sizes[:-1], sizes[1:], variances, strict=True):
            z = _normal((count, n_out, n_in), sigma2, generator) @ x
            x = z * draw_slopes(z, activation, generator)
            norms.append(_log_norm(x))
        parts.append(torch.stack(norms, 1))
    return torch.cat(parts).cpu().numpy()


def backward_log_norms(
    n: int,
    widths: Sequence[int],
    activation: Activation,
    variance: float | Sequence[float],
    *,
    generator: torch.Generator,
) -> np.ndarray:
    r"""Return the log-norms of gradients sent back through `n` random networks without biases.

    .. math:: \log \lVert g_j \rVert_2, \quad g_k = v \sim N(0, I), \quad
              g_{j-1} = W_j^\top (\varphi'(W_j x_{j-1}) \odot g_j)

    g_j is the gradient of v·x_k with respect to x_j, at an input x_0 of norm one.

    Args:
        n: number of networks, at least 1.
        widths: d_0 (input), d_1, …, d_k, each at least 1.
        activation: applied after every layer.
        variance: of the weights, one for all layers or one per layer, positive.
        generator: source of all draws; its device does the work.

    Returns:
        float64 of shape (n, k + 1), from g_k in column 0 to g_0, −inf from where a gradient is zero.

    Raises:
        ArgumentError: for an argument outside these ranges.

    Source:
        The backward pass of page 08, backward-thm-walk.

    >>> from fracrepro.theory.activations import ReLU
    >>> generator = torch.Generator().manual_seed(0)
    >>> one = backward_log_norms(1, (3, 5, 5), ReLU(), 0.4, generator=generator)
    >>> one.shape
    (1, 3)
    """
    n, sizes, variances = _check(n, widths, activation, variance)
    parts = []
    for count in _chunks(n, sum(map(_area, zip(sizes[1:], sizes[:-1], strict=True)))):
        x = torch.zeros(count, sizes[0], 1, dtype=torch.float64, device=generator.device)
        x[:, 0] = 1.0
        layers = []
        for n_in, n_out, sigma2 in zip(sizes[:-1], sizes[1:], variances, strict=True):
            weight = _normal((count, n_out, n_in), sigma2, generator)
            z = weight @ x
            slopes = draw_slopes(z, activation, generator)
            # Only the direction of x decides the masks; unit length keeps deep networks clear of underflow.
            x = torch.nn.functional.normalize(z * slopes, dim=1)
            layers.append((weight, slopes))
        gradient = _normal((count, sizes[-1], 1), 1.0, generator)
        norms = [_log_norm(gradient)]
        for weight, slopes in reversed(layers):
            gradient = weight.mT @ (slopes * gradient)
            norms.append(_log_norm(gradient))
        parts.append(torch.stack(norms, 1))
    return torch.cat(parts).cpu().numpy()


def _check(
    n: int, widths: Sequence[int], activation: Activation, variance: float | Sequence[float]
) -> tuple[int, list[int], list[float]]:
    n = integer("n", n, "[1, inf)")
    sizes = integers("widths", widths, "[1, inf)")
    if sizes.ndim != 1 or len(sizes) < 2:
        raise ArgumentError(f"widths = {widths!r}: need the input's width and at least one layer's")
    variances = reals("variance", variance, "(0, inf)")
    if variances.shape not in ((), (len(sizes) - 1,)):
        raise ArgumentError(f"variance = {variance!r}: need one number, or one per layer ({len(sizes) - 1})")
    check_activation("activation", activation)
    return n, sizes.tolist(), np.broadcast_to(variances, len(sizes) - 1).tolist()


def _area(shape: tuple[int, int]) -> int:
    return shape[0] * shape[1]


def _chunks(n: int, weights: int) -> list[int]:
    """Networks per chunk, so that at most CHUNK weights (or one network's) are held at a time."""
    size = max(1, CHUNK // weights)
    return [min(size, n - first) for first in range(0, n, size)]


def _normal(shape: tuple[int, ...], variance: float, generator: torch.Generator) -> Tensor:
    values = torch.empty(shape, dtype=torch.float64, device=generator.device)
    return values.normal_(0, variance**0.5, generator=generator)


def _log_norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.squeeze(2), dim=1).log()
