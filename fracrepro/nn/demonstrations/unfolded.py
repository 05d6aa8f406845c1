"""Two unfolded steps of iterative soft thresholding, with a smooth threshold, and the rank of their Jacobian.

``x_1 = σ(A_1 y + B_1 x_0)`` and ``x_2 = σ(A_2 y + B_2 x_1)`` for measurements y of unknowns x, with
``σ(h) = softplus(h - λ) - softplus(-h - λ)`` and x_0 = 0, so that B_1 acts on nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from fracrepro.arguments import generator, integer

__all__ = [
    "THRESHOLD",
    "Layers",
    "autograd_jacobian",
    "draw",
    "jacobian",
    "outputs",
    "parameters",
    "soft",
    "train",
]

#: λ of the smooth soft threshold.
THRESHOLD = 0.1


class Layers(NamedTuple):
    """Parameters that the output depends on.

    Attributes:
        a1: shape (unknowns, measurements).
        a2: shape (unknowns, measurements).
        b2: shape (unknowns, unknowns).
    """

    a1: np.ndarray
    a2: np.ndarray
    b2: np.ndarray


def draw(
    unknowns: int, measurements: int, samples: int, rng: np.random.Generator
) -> tuple[Layers, np.ndarray, np.ndarray]:
    """Return layers with entries of variance 1 / fan_in, measurements y and unknowns x, one row a sample.

    The unknowns are standard normal and not sparse: fitting is asked for here, not recovery.
    ``y = M x`` with a normal M of variance 1 / measurements.

    Raises:
        ArgumentError: for a size below 1.
    """
    m = integer("unknowns", unknowns, "[1, inf)")
    n, count = integer("measurements", measurements, "[1, inf)"), integer("samples", samples, "[1, inf)")
    a1, a2 = generator("rng", rng).standard_normal((2, m, n)) / np.sqrt(n)
    layers = Layers(a1, a2, rng.standard_normal((m, m)) / np.sqrt(m))
    x = rng.standard_normal((count, m))
    return layers, x @ (rng.standard_normal((n, m)) / np.sqrt(n)).T, x


def parameters(unknowns: int, measurements: int) -> int:
    """Return how many parameters the output of both steps depends on.

    >>> parameters(12, 6)  # and not 432: the 144 of the first B act on x_0 = 0
    288
    """
    return 2 * unknowns * measurements + unknowns**2


def soft(h: np.ndarray) -> np.ndarray:
    """Return σ(h), the smooth soft threshold."""
    return np.logaddexp(0, h - THRESHOLD) - np.logaddexp(0, -h - THRESHOLD)


def _slope(h: np.ndarray) -> np.ndarray:
    return special.expit(h - THRESHOLD) + special.expit(-h - THRESHOLD)


def outputs(layers: Layers, y: np.ndarray) -> np.ndarray:
    """Return x_2, shape (samples, unknowns)."""
    return soft(y @ layers.a2.T + soft(y @ layers.a1.T) @ layers.b2.T)


def jacobian(layers: Layers, y: np.ndarray) -> np.ndarray:
    """Return the derivatives of all outputs, shape (samples · unknowns, parameters), by the chain rule."""
    a1, a2, b2 = layers
    (m, n), first = a1.shape, y @ a1.T
    x1, diagonal = soft(first), np.arange(m)
    outer = _slope(y @ a2.T + x1 @ b2.T)
    by_a1 = np.einsum("ti,ij,tj,tk->tijk", outer, b2, _slope(first), y)
    by_a2, by_b2 = np.zeros((len(y), m, m, n)), np.zeros((len(y), m, m, m))
    by_a2[:, diagonal, diagonal] = outer[:, :, None] * y[:, None, :]
    by_b2[:, diagonal, diagonal] = outer[:, :, None] * x1[:, None, :]
    parts = [part.reshape(len(y) * m, -1) for part in (by_a1, by_a2, by_b2)]
    return np.concatenate(parts, axis=1)


def autograd_jacobian(layers: Layers, y: np.ndarray, x0: np.ndarray | None = None) -> np.ndarray:
    """Return the derivatives by torch, those of B_1 too; `x0`, one row a sample, replaces the zeros.

    B_1 itself is 0, which changes no derivative while x_0 = 0; its columns come last.
    """
    import torch
    from torch.nn.functional import softplus

    data = torch.as_tensor(y)
    begin = torch.zeros(len(y), layers.a1.shape[0], dtype=data.dtype) if x0 is None else torch.as_tensor(x0)

    def threshold(h: torch.Tensor) -> torch.Tensor:
        return softplus(h - THRESHOLD, threshold=50) - softplus(-h - THRESHOLD, threshold=50)

    def both(a1: torch.Tensor, a2: torch.Tensor, b2: torch.Tensor, b1: torch.Tensor) -> torch.Tensor:
        return threshold(data @ a2.T + threshold(data @ a1.T + begin @ b1.T) @ b2.T).flatten()

    tensors = [torch.as_tensor(each) for each in layers]
    tensors.append(torch.zeros_like(tensors[-1]))
    parts = torch.autograd.functional.jacobian(both, tuple(tensors))
    return torch.cat([part.flatten(1) for part in parts], dim=1).numpy()


def train(layers: Layers, y: np.ndarray, x: np.ndarray, steps: int) -> pd.DataFrame:
    """Train by full gradient descent with step 1 over the largest eigenvalue of ``J Jᵀ`` at the start.

    Returns:
        One row before every step: ``step`` and ``loss``, half the sum of squares.

    Raises:
        ArgumentError: for less than one step.
    """
    a1, a2, b2 = layers
    step = 1 / np.linalg.norm(jacobian(layers, y), 2) ** 2
    losses = []
    for _ in range(integer("steps", steps, "[1, inf)")):
        first = y @ a1.T
        x1 = soft(first)
        second = y @ a2.T + x1 @ b2.T
        error = soft(second) - x
        losses.append(0.5 * np.sum(error**2))
        back = error * _slope(second)
        before = (back @ b2) * _slope(first)
        a1, a2, b2 = a1 - step * before.T @ y, a2 - step * back.T @ y, b2 - step * back.T @ x1
    return pd.DataFrame({"step": np.arange(len(losses)), "loss": losses})
