"""A ReLU layer whose trainable biases start at a negative constant: its tangent kernel, and its training.

The network is f(x) = m^(-1/2) Σ_r a_r max(w_r·x + b_r, 0) with fixed signs a_r, w_r ~ N(0, I) and
b_r = -B at the start, at inputs of norm 1; weights and biases are trained.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from fracrepro.arguments import generator, integer, real, reals
from fracrepro.errors import ArgumentError

__all__ = ["both_active", "finite_kernel", "limit_kernel", "network_kernel", "sphere", "train"]


def sphere(points: int, dimension: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return independent points of the unit sphere, shape (points, dimension), and random targets ±1.

    Raises:
        ArgumentError: for fewer than two points or dimensions.
    """
    shape = integer("points", points, "[2, inf)"), integer("dimension", dimension, "[2, inf)")
    inputs = generator("rng", rng).standard_normal(shape)
    return inputs / np.linalg.norm(inputs, axis=1, keepdims=True), rng.choice([-1.0, 1.0], shape[0])


def both_active(cosine: ArrayLike, bias: float) -> np.ndarray:
    """Return the probability that one neuron is active at two inputs with this cosine between them.

    ``P(u ≥ B, v ≥ B) = Q(B) - 2 T(B, √((1 - c)/(1 + c)))`` for standard normal u and v with correlation c,
    where Q is the normal tail and T Owen's function.

    Args:
        cosine: c in [-1, 1], of any shape.
        bias: the bias B of every neuron.

    Raises:
        ArgumentError: outside this range.

    Source:
        Owen's formula for the bivariate normal law.

    >>> both_active([1.0, 0.0, -1.0], 0.0).tolist()
    [0.5, 0.25, 0.0]
    """
    c = reals("cosine", cosine, "[-1, 1]")
    return _both_active(np.sqrt(1 - c), np.sqrt(1 + c), bias)


def _both_active(difference: np.ndarray, total: np.ndarray, bias: float) -> np.ndarray:
    """The same from numbers in the ratio of the norms of x - x' and x + x', exact at equal inputs too."""
    threshold = real("bias", bias, "(-inf, inf)")
    with np.errstate(divide="ignore"):
        slope = difference / total
    return special.ndtr(-threshold) - 2 * special.owens_t(threshold, slope)


def limit_kernel(inputs: ArrayLike, bias: float) -> np.ndarray:
    """Return the tangent kernel of the infinitely wide network, ``(x_i·x_j + 1) P(both active)``.

    Args:
        inputs: rows of norm 1.
        bias: the bias B of every neuron.

    Raises:
        ArgumentError: for rows of another norm.

    Source:
        derived on page 17, thm-related-bias.
    """
    x = _unit(inputs)
    apart, together = (np.linalg.norm(x[:, None] + sign * x, axis=2) for sign in (-1, 1))
    return (x @ x.T + 1) * _both_active(apart, together, bias)


def finite_kernel(inputs: ArrayLike, weights: ArrayLike, biases: ArrayLike) -> np.ndarray:
    """Return the tangent kernel of m neurons, ``(x_i·x_j + 1) / m`` times how many are active at both inputs.

    Args:
        inputs: rows of norm 1.
        weights: shape (m, dimension).
        biases: shape (m,), what is added before the rectifier.

    Raises:
        ArgumentError: for rows of another norm.

    Source:
        derived on page 17, thm-related-bias.
    """
    x = _unit(inputs)
    active = (x @ np.asarray(weights).T + np.asarray(biases) > 0).astype(float)
    return (x @ x.T + 1) * (active @ active.T) / active.shape[1]


def network_kernel(inputs: ArrayLike, weights: ArrayLike, biases: ArrayLike, signs: ArrayLike) -> np.ndarray:
    """Return the same kernel from torch's derivatives of the network, ``J Jᵀ``; arguments as there."""
    import torch

    x, w, b, a = (torch.as_tensor(np.asarray(each, dtype=float)) for each in (inputs, weights, biases, signs))

    def outputs(w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ w.T + b) @ a / math.sqrt(len(a))

    parts = torch.autograd.functional.jacobian(outputs, (w, b))
    jacobian = torch.cat([part.flatten(1) for part in parts], dim=1)
    return (jacobian @ jacobian.T).numpy()


def train(
    inputs: ArrayLike, targets: ArrayLike, bias: float, neurons: int, steps: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Train by full gradient descent with step 1 over the largest eigenvalue of the limit kernel.

    Args:
        inputs: rows of norm 1.
        targets: one number for each row.
        bias: the bias B of every neuron.
        neurons: their number m.
        steps: of gradient descent.
        rng: draws weights and signs.

    Returns:
        One row before every step: ``step``, ``loss`` (half the sum of squares) and ``active``, the share of
        pairs of a neuron and an input where the neuron is active.

    Raises:
        ArgumentError: outside these ranges.
    """
    x, y = _unit(inputs), reals("targets", targets, "(-inf, inf)")
    m = integer("neurons", neurons, "[1, inf)")
    w = generator("rng", rng).standard_normal((m, x.shape[1]))
    outer, b = rng.choice([-1.0, 1.0], m) / math.sqrt(m), np.full(m, -float(bias))
    step = 1 / np.linalg.eigvalsh(limit_kernel(x, bias))[-1]
    rows = []
    for k in range(integer("steps", steps, "[1, inf)")):
        before = x @ w.T + b
        error = np.maximum(before, 0) @ outer - y
        rows.append((k, 0.5 * error @ error, np.mean(before > 0)))
        slopes = (before > 0) * outer * error[:, None]
        w -= step * slopes.T @ x
        b -= step * slopes.sum(axis=0)
    return pd.DataFrame(rows, columns=["step", "loss", "active"])


def _unit(inputs: ArrayLike) -> np.ndarray:
    x = reals("inputs", inputs, "(-inf, inf)")
    if x.ndim != 2 or not np.allclose(np.linalg.norm(x, axis=1), 1, rtol=0, atol=1e-12):
        raise ArgumentError(f"inputs of shape {x.shape}: need rows of norm 1")
    return x
