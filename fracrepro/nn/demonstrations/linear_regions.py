"""A ReLU network of one input and one hidden layer, trained to classify: where its slope changes.

``f(x) = Σ_j a_j max(w_j x + b_j, 0)`` changes its slope by ``a_j |w_j|`` at ``-b_j / w_j``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fracrepro.arguments import integer, real, reals
from fracrepro.errors import ArgumentError

__all__ = ["STEP", "Shallow", "autograd_slopes", "labels", "slope_changes", "slopes", "train"]

#: The step of gradient descent times the squared norm of the parameters.
STEP = 10.0


class Shallow(NamedTuple):
    """A network with one hidden layer on a line: parameters, each of shape (neurons,).

    Attributes:
        w: input weights.
        b: biases.
        a: output weights.
    """

    w: np.ndarray
    b: np.ndarray
    a: np.ndarray


def labels(points: ArrayLike, cuts: Sequence[float]) -> np.ndarray:
    """Return the signs ±1 of points on a line, which change at every cut.

    >>> labels([-1.0, 0.2, 1.0], [0.0, 0.5]).tolist()
    [1.0, -1.0, 1.0]
    """
    crossed = np.asarray(points, dtype=float)[:, None] < np.asarray(cuts, dtype=float)
    return np.where(crossed.sum(axis=1) % 2, -1.0, 1.0)


def slopes(network: Shallow, places: ArrayLike) -> np.ndarray:
    """Return the slope at each place: that far to the left, plus the changes at the kinks on the way.

    Source:
        derived on page 17, thm-related-regions.

    >>> bent = Shallow(np.array([1.0, -1.0]), np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    >>> slopes(bent, [-1, 0.5, 2]).tolist()
    [-2.0, -1.0, 1.0]
    """
    w, b, a = network
    leftmost = np.sum((a * w)[w < 0])
    passed = np.asarray(places, dtype=float)[:, None] > -b / w
    return leftmost + passed @ (a * np.abs(w))


def autograd_slopes(network: Shallow, places: ArrayLike) -> np.ndarray:
    """Return the same slopes from torch's derivatives of the network."""
    import torch

    w, b, a = (torch.as_tensor(each, dtype=torch.float64) for each in network)
    x = torch.tensor(np.asarray(places, dtype=float), requires_grad=True)
    (torch.relu(x[:, None] * w + b) @ a).sum().backward()
    assert x.grad is not None  # backward has just filled it
    return x.grad.numpy()


def slope_changes(network: Shallow, points: ArrayLike, share: float = 0.01) -> int:
    """Return how many gaps between neighbouring points hold more than a share of all changes of slope.

    The changes in one gap are added before they are counted: the data see only their sum.

    Args:
        network: one network.
        points: where the network was trained, in increasing order.
        share: of the sum of the absolute changes over the gaps, in [0, 1).

    Raises:
        ArgumentError: outside these ranges.
    """
    x, part = reals("points", points, "(-inf, inf)"), real("share", share, "[0, 1)")
    if x.ndim != 1 or np.any(np.diff(x) <= 0):
        raise ArgumentError("points: need numbers in increasing order")
    w, b, a = network
    gap = np.searchsorted(x, -b / w)
    inside = (gap > 0) & (gap < len(x))
    change = np.abs(np.bincount(gap[inside], (a * np.abs(w))[inside], minlength=len(x)))
    return int(np.sum(change > part * change.sum()))


def train(
    points: ArrayLike,
    targets: ArrayLike,
    *,
    neurons: int,
    steps: int,
    seeds: Sequence[int],
    every: int = 1000,
) -> tuple[list[Shallow], pd.DataFrame]:
    """Train networks by gradient descent on the logarithm of the logistic loss, which only changes time.

    The step is :data:`STEP` over the squared norm of the parameters: directions move alike at every norm.

    Args:
        points: shape (n,), increasing.
        targets: signs ±1, shape (n,).
        neurons: of each network; w and b start as N(0, 1), a as N(0, 1 / neurons).
        steps: of gradient descent.
        seeds: one network each.
        every: steps between two rows.

    Returns:
        The trained networks, one for each seed, and one row a network and time: ``seed``, ``step``,
        ``changes`` of slope and ``right``, the share of points on the right side.

    Raises:
        ArgumentError: outside these ranges.
    """
    x, y = reals("points", points, "(-inf, inf)"), reals("targets", targets, "[-1, 1]")
    m = integer("neurons", neurons, "[1, inf)")
    drawn = [np.random.default_rng(seed).standard_normal((3, m)) for seed in seeds]
    w, b, a = np.stack(drawn, axis=1)
    a /= math.sqrt(m)
    rows: list[tuple[int, int, int, float]] = []
    for k in range(integer("steps", steps, "[1, inf)") + 1):
        before = w[:, :, None] * x + b[:, :, None]
        after = np.maximum(before, 0)
        margin = y * np.matmul(a[:, None, :], after)[:, 0]
        if k % every == 0 or k == steps:
            each = [Shallow(*layers) for layers in zip(w, b, a, strict=True)]
            right = np.mean(margin > 0, axis=1)
            rows += [(s, k, slope_changes(each[i], x), right[i]) for i, s in enumerate(seeds)]
        if k < steps:
            loss = np.logaddexp(0, -margin)
            # The logistic function of -margin over the loss, without overflow.
            pull = -y * np.exp(-loss - margin) / loss.sum(axis=1, keepdims=True)
            step = STEP / np.sum(w**2 + b**2 + a**2, axis=1, keepdims=True)
            inner = (before > 0) * pull[:, None, :]
            gradient = a * (inner @ x), a * inner.sum(axis=2), np.matmul(after, pull[:, :, None])[:, :, 0]
            w, b, a = (old - step * g for old, g in zip((w, b, a), gradient, strict=True))
    return [Shallow(*layers) for layers in zip(w, b, a, strict=True)], pd.DataFrame(
        rows, columns=["seed", "step", "changes", "right"]
    )
