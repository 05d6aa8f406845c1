"""Moments of a Jacobian by counting: every network of two layers whose weights take few values.

Each network is run at one input, its Jacobian is multiplied out with the slopes that this input finds, and
the moments are sums over all networks with their probabilities; no formula is used.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["four_values", "jacobian_moments", "orthogonal_jacobian_moments"]

_INPUT = (1.0, math.pi / 7)  # no combination of few numbers vanishes at it


def four_values(fourth: float, chance: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Return a law of four values, symmetric about 0, with variance 1 and a given fourth moment.

    Args:
        fourth: E w⁴, above 1.
        chance: of the two outer values, in (0, 1/fourth).

    Returns:
        The values and their probabilities.

    Source:
        Ours: :math:`\pm\sqrt{1 + r/q}` and :math:`\pm\sqrt{1 - r q}` with
        :math:`r = \sqrt{(\text{fourth} - 1)}` and :math:`q^2 = \text{chance}/(1 - \text{chance})`.

    >>> values, chances = four_values(3.0, 0.2)
    >>> [round(float(chances @ values**k), 12) for k in (0, 1, 2, 3, 4)]
    [1.0, 0.0, 1.0, 0.0, 3.0]
    """
    r, q = math.sqrt(fourth - 1.0), math.sqrt(chance / (1.0 - chance))
    outer, inner = math.sqrt(1.0 + r / q), math.sqrt(1.0 - r * q)
    return np.array([outer, -outer, inner, -inner]), np.array([chance, chance, 1 - chance, 1 - chance]) / 2


def jacobian_moments(slope: float, variance: float, fourth: float, bias: float = 0.0) -> np.ndarray:
    """Return E tr M, E (tr M)², E tr M² and the mean of the squared diagonal of M = J Jᵀ.

    Two layers of width 2, each entry with a law of four values of its own: 65,536 networks.

    Args:
        slope: of the leaky rectifier below zero.
        variance: of the entries.
        fourth: moment of the entries, over the squared variance.
        bias: of every neuron.
    """
    laws = [four_values(fourth, 0.1 + 0.02 * k) for k in range(8)]
    weights = _grid([values for values, _ in laws]).reshape(-1, 2, 2, 2) * math.sqrt(variance)
    return _mean(weights[:, 0], weights[:, 1], np.prod(_grid([c for _, c in laws]), axis=1), slope, bias)


def orthogonal_jacobian_moments(slope: float, factor: float, turns: int = 8) -> np.ndarray:
    """Return the same for two layers of a factor times an orthogonal matrix of size 2.

    The matrices are the `turns` rotations of a regular polygon and its reflections, every pair of them; with
    six or more, an even number, their fourth moments and their signs are those of Haar measure.

    Args:
        slope: of the leaky rectifier below zero.
        factor: before the matrices.
        turns: an even integer from 2.
    """
    angles = 2 * math.pi * np.arange(turns) / turns
    turned = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(
        2, 0, 1
    )
    group = factor * np.concatenate([turned, turned @ np.diag([1.0, -1.0])])
    first, second = np.repeat(group, len(group), axis=0), np.tile(group, (len(group), 1, 1))
    return _mean(first, second, np.full(len(first), 1.0 / len(first)), slope, 0.0)


def _grid(columns: list[np.ndarray]) -> np.ndarray:
    return np.stack(np.meshgrid(*columns, indexing="ij"), axis=-1).reshape(-1, len(columns))


def _mean(
    first: np.ndarray, second: np.ndarray, chances: np.ndarray, slope: float, bias: float
) -> np.ndarray:
    """Run every network, multiply its Jacobian out, and average."""
    z = first @ np.array(_INPUT) + bias
    inner = np.where(z > 0, 1.0, slope)
    outer = np.where(np.einsum("nij,nj->ni", second, inner * z) + bias > 0, 1.0, slope)
    jacobian = outer[:, :, None] * second @ (inner[:, :, None] * first)
    gram = jacobian @ jacobian.transpose(0, 2, 1)
    trace = np.trace(gram, axis1=1, axis2=2)
    diagonal = np.sum(np.diagonal(gram, axis1=1, axis2=2) ** 2, axis=1)
    return np.array([chances @ each for each in (trace, trace**2, np.sum(gram**2, axis=(1, 2)), diagonal)])
