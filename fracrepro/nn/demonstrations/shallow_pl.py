"""A shallow softplus network with both layers trained, and the Polyak-Lojasiewicz bound on its loss.

``f(x) = Σ_r a_r softplus(w_r·x)`` with loss ``L = ½ Σ_i (f(x_i) - y_i)²``: ``‖∇L‖² ≥ 2 λ_min(J Jᵀ) L``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from fracrepro.arguments import generator, integer, real

__all__ = ["Shallow", "autograd_gradient", "data", "draw", "gradient", "jacobian", "loss", "train"]


class Shallow(NamedTuple):
    """Parameters of one network.

    Attributes:
        w: shape (width, inputs).
        a: shape (width,).
    """

    w: np.ndarray
    a: np.ndarray


def data(points: int, inputs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return standard normal inputs, one row a point, and standard normal targets."""
    shape = integer("points", points, "[1, inf)"), integer("inputs", inputs, "[1, inf)")
    return generator("rng", rng).standard_normal(shape), rng.standard_normal(shape[0])


def draw(width: int, inputs: int, rng: np.random.Generator) -> Shallow:
    """Return a network with normal weights of variance 1 / fan_in in both layers."""
    m, d = integer("width", width, "[1, inf)"), integer("inputs", inputs, "[1, inf)")
    w = generator("rng", rng).standard_normal((m, d)) / np.sqrt(d)
    return Shallow(w, rng.standard_normal(m) / np.sqrt(m))


def jacobian(network: Shallow, x: np.ndarray) -> np.ndarray:
    """Return the derivatives of the outputs, shape (points, width · inputs + width), by the chain rule."""
    before = x @ network.w.T
    inner = (special.expit(before) * network.a)[:, :, None] * x[:, None, :]
    return np.concatenate([inner.reshape(len(x), -1), np.logaddexp(0, before)], axis=1)


def loss(network: Shallow, x: np.ndarray, y: np.ndarray) -> float:
    """Return half the sum of squared errors."""
    return float(0.5 * np.sum(_error(network, x, y) ** 2))


def gradient(network: Shallow, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the gradient of the loss, ``Jᵀ (f - y)``."""
    return jacobian(network, x).T @ _error(network, x, y)


def autograd_gradient(network: Shallow, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the same gradient by torch's derivatives of the loss."""
    import torch
    from torch.nn.functional import softplus

    w, a = (torch.tensor(each, requires_grad=True) for each in network)
    error = softplus(torch.as_tensor(x) @ w.T, threshold=50) @ a - torch.as_tensor(y)
    parts = torch.autograd.grad(0.5 * (error**2).sum(), (w, a))
    return torch.cat([part.flatten() for part in parts]).numpy()


def train(
    network: Shallow, x: np.ndarray, y: np.ndarray, *, steps: int, step: float, every: int = 100
) -> pd.DataFrame:
    """Train by full gradient descent, both layers at once.

    Args:
        network: at the start.
        x: inputs, one row a point.
        y: targets.
        steps: of gradient descent.
        step: its length, times the largest eigenvalue of ``J Jᵀ`` at the start.
        every: steps between two rows.

    Returns:
        One row a time: ``step``; ``loss``; ``contraction``, ``‖∇L‖² / L``, the rate at which gradient flow
        shrinks the loss there; ``least`` and ``largest``, the bounds 2 λ_min and 2 λ_max of that rate; and
        ``descent``, the loss after the next step over this one.

    Raises:
        ArgumentError: for less than one step, or a step that is not positive.
    """
    w, a = network
    size = real("step", step, "(0, inf)") / np.linalg.norm(jacobian(network, x), 2) ** 2
    rows = []
    for k in range(integer("steps", steps, "[1, inf)") + 1):
        before = x @ w.T
        after = np.logaddexp(0, before)
        error = after @ a - y
        slope = special.expit(before) * a * error[:, None]
        by_w, by_a = slope.T @ x, after.T @ error
        now, (w, a) = Shallow(w, a), (w - size * by_w, a - size * by_a)
        if k % every == 0 or k == steps:
            value = 0.5 * error @ error
            squared = np.sum(by_w**2) + np.sum(by_a**2)
            j = jacobian(now, x)
            ends = 2 * np.linalg.eigvalsh(j @ j.T)[[0, -1]]
            rows.append((k, value, squared / value, *ends, loss(Shallow(w, a), x, y) / value))
    return pd.DataFrame(rows, columns=["step", "loss", "contraction", "least", "largest", "descent"])


def _error(network: Shallow, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x @ network.w.T) @ network.a - y
