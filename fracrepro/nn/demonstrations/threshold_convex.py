"""Threshold networks of one hidden layer on a line, and the convex problem that trains them.

A neuron ``s·1{w x + b ≥ 0}`` gives s times one of finitely many patterns of 0 and 1 on the data.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from fracrepro.arguments import integer, real, reals
from fracrepro.errors import ArgumentError

__all__ = ["best_networks", "duality_gap", "network_objective", "objective", "patterns", "solve"]


def patterns(points: int) -> np.ndarray:
    """Return every pattern but the empty one that a threshold neuron makes of points on a line, as columns.

    For sorted points these are the rising steps and the falling ones, ``2 points - 1`` in all.

    >>> patterns(2).T.tolist()
    [[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    """
    places = np.arange(integer("points", points, "[1, inf)"))
    rising = [places >= k for k in places]
    falling = [places < k for k in places[1:]]
    return np.array(rising + falling, dtype=float).T


def solve(columns: ArrayLike, targets: ArrayLike, beta: float) -> np.ndarray:
    """Return the c that minimizes ``½‖Dc - y‖² + β‖c‖₁``.

    The dual is the projection of y on the polytope ``|Dᵀv| ≤ β``, a least-distance problem, which one call
    of nonnegative least squares solves in finitely many steps; its multipliers are c.

    Args:
        columns: D, shape (n, patterns).
        targets: y, shape (n,).
        beta: positive.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        Lawson and Hanson, 1974, for least distance by nonnegative least squares.

    >>> solve([[1.0]], [3.0], 0.5).round(12).tolist()
    [2.5]
    """
    d, y = reals("columns", columns, "(-inf, inf)"), reals("targets", targets, "(-inf, inf)")
    bound = real("beta", beta, "(0, inf)")
    if d.ndim != 2 or y.shape != d.shape[:1]:
        raise ArgumentError(f"columns of shape {d.shape}, targets of shape {y.shape}: need (n, k) and (n,)")
    sides = np.concatenate([d.T, -d.T])
    limits = np.concatenate([-bound - d.T @ y, -bound + d.T @ y])
    unit = np.append(np.zeros(len(y)), 1.0)
    system = np.vstack([sides.T, limits])
    multipliers, _ = optimize.nnls(system, unit)
    multipliers /= unit[-1] - system[-1] @ multipliers
    return multipliers[d.shape[1] :] - multipliers[: d.shape[1]]


def objective(columns: ArrayLike, targets: ArrayLike, beta: float, c: ArrayLike) -> float:
    """Return ``½‖Dc - y‖² + β‖c‖₁``."""
    error = np.asarray(columns) @ np.asarray(c) - np.asarray(targets)
    return float(0.5 * error @ error + beta * np.abs(c).sum())


def duality_gap(columns: ArrayLike, targets: ArrayLike, beta: float, c: ArrayLike) -> float:
    """Return the objective minus the dual value of the residual, scaled into the polytope.

    It is 0 at the best c only, and no network has an objective below the dual value, whatever its width.
    """
    d, y = np.asarray(columns, dtype=float), np.asarray(targets, dtype=float)
    v = y - d @ np.asarray(c)
    v = v * min(1.0, beta / np.abs(d.T @ v).max())
    return objective(d, y, beta, c) - float(0.5 * y @ y - 0.5 * (y - v) @ (y - v))


def network_objective(columns: ArrayLike, targets: ArrayLike, beta: float, c: ArrayLike) -> float:
    """Return the weight-decay objective of the network that c stands for.

    Each c_j ≠ 0 is a neuron of amplitude ``s = √|c_j|`` and outer weight ``α = sign(c_j) √|c_j|``; the
    objective is ``½‖f - y‖² + ½β Σ (s² + α²)``.
    """
    weight = np.asarray(c, dtype=float)
    s, alpha = np.sqrt(np.abs(weight)), np.sign(weight) * np.sqrt(np.abs(weight))
    error = np.asarray(columns) @ (s * alpha) - np.asarray(targets)
    return float(0.5 * error @ error + 0.5 * beta * np.sum(s**2 + alpha**2))


def best_networks(columns: ArrayLike, targets: ArrayLike, beta: float, most: int) -> list[float]:
    """Return the least objective of networks with 1, 2, … `most` neurons, over every choice of patterns.

    Raises:
        ArgumentError: for more neurons than patterns.
    """
    d = np.asarray(columns, dtype=float)
    sizes = range(1, integer("most", most, f"[1, {d.shape[1]}]") + 1)
    return [
        min(
            objective(d[:, chosen], targets, beta, solve(d[:, chosen], targets, beta))
            for chosen in map(list, itertools.combinations(range(d.shape[1]), size))
        )
        for size in sizes
    ]
