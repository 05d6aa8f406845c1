"""Fixed aggregations of graph networks: how a node averages over its neighbours, and what that does to size.

A layer of a graph network is φ(A X W), with X a row of features for each node and A a fixed matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fracrepro import arguments
from fracrepro.errors import ArgumentError
from fracrepro.theory.activations import Activation, check_activation

__all__ = [
    "check_aggregation",
    "energy_preserving_variance",
    "karate_club",
    "mean_aggregation",
    "residual_aggregation",
    "spectral_radius",
    "symmetric_aggregation",
]

# Of matrices up to this size all eigenvalues are computed; of larger ones the largest, by Arnoldi iteration.
_DENSE = 400

# Zachary (1977): for each member the later ones with whom he met outside the club, counted from 0.
_KARATE = (
    "1 2 3 4 5 6 7 8 10 11 12 13 17 19 21 31;2 3 7 13 17 19 21 30;3 7 8 9 13 27 28 32;7 12 13;6 10;6 10 16;"
    "16;;30 32 33;33;;;;33;32 33;32 33;;;32 33;33;32 33;;32 33;25 27 29 32 33;25 27 31;31;29 33;33;31 33;"
    "32 33;32 33;32 33;33"
)


def karate_club() -> np.ndarray:
    """Return the adjacency matrix of Zachary's karate club: 34 members, 78 friendships.

    Source:
        Zachary 1977.

    >>> adjacency = karate_club()
    >>> adjacency.shape, int(adjacency.sum()) // 2
    ((34, 34), 78)
    """
    adjacency = np.zeros((34, 34))
    for member, later in enumerate(_KARATE.split(";")):
        for other in map(int, later.split()):
            adjacency[member, other] = adjacency[other, member] = 1.0
    return adjacency


def symmetric_aggregation(adjacency: ArrayLike, *, self_loops: bool = True) -> np.ndarray:
    """Return D^(-1/2) B D^(-1/2), with B the adjacency matrix, self-loops added, and D its row sums.

    Its largest eigenvalue is 1.

    Args:
        adjacency: (N, N), symmetric, entries at least 0; the weights of the edges.
        self_loops: whether to add 1 to the diagonal.

    Raises:
        ArgumentError: for another matrix, and for a node without neighbours.

    Source:
        The usual aggregation of graph convolutions; used on page 15.

    >>> symmetric_aggregation([[0, 1], [1, 0]]).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    weights, degrees = _degrees(adjacency, self_loops)
    if not np.array_equal(weights, weights.T):
        raise ArgumentError("adjacency: need a symmetric matrix")
    return weights / np.sqrt(np.outer(degrees, degrees))


def mean_aggregation(adjacency: ArrayLike, *, self_loops: bool = True) -> np.ndarray:
    """Return D^(-1) B, whose rows sum to 1: each node takes the mean over its neighbours.

    Args:
        adjacency: (N, N), entries at least 0; the weights of the edges.
        self_loops: whether to add 1 to the diagonal, so that a node counts among its neighbours.

    Raises:
        ArgumentError: for another matrix, and for a node without neighbours.

    Source:
        The usual mean over neighbours; used on page 15.

    >>> mean_aggregation([[0, 1], [1, 0]], self_loops=False).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    weights, degrees = _degrees(adjacency, self_loops)
    return weights / degrees[:, None]


def residual_aggregation(aggregation: ArrayLike, share: float) -> np.ndarray:
    """Return (1 - t) I + t A: a node keeps a part of itself, and t is the share that it aggregates.

    Args:
        aggregation: A, (N, N).
        share: t, in [0, 1].

    Raises:
        ArgumentError: outside these ranges.

    Source:
        The abstract of DeZoort and Hanin 2023 names it; used on page 15.

    >>> residual_aggregation([[0.0, 1.0], [1.0, 0.0]], 0.25).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    matrix = check_aggregation("aggregation", aggregation)
    share = arguments.real("share", share, "[0, 1]")
    mixed: np.ndarray = (1.0 - share) * np.eye(len(matrix)) + share * matrix
    return mixed


def spectral_radius(aggregation: ArrayLike) -> float:
    """Return the largest absolute value of an eigenvalue of A.

    Args:
        aggregation: A, (N, N).

    Raises:
        ArgumentError: for another shape, and for entries that are not finite.

    >>> spectral_radius([[0.0, 2.0], [0.5, 0.0]])
    1.0
    """
    matrix = check_aggregation("aggregation", aggregation)
    if len(matrix) <= _DENSE:
        symmetric = np.array_equal(matrix, matrix.T)
        values = np.linalg.eigvalsh(matrix) if symmetric else np.linalg.eigvals(matrix)
    else:
        from scipy.sparse import linalg  # here, because few need it

        start = np.linspace(1.0, 2.0, len(matrix))  # a fixed one, so that the result is the same each time
        values = linalg.eigs(matrix, k=1, which="LM", v0=start, return_eigenvectors=False, maxiter=10_000)
    return float(np.abs(values).max())


def energy_preserving_variance(aggregation: ArrayLike, fan_in: float, activation: Activation) -> float:
    r"""Return the variance of the weights under which the size of the features neither explodes nor vanishes.

    .. math:: \frac{1}{\text{fan_in} \cdot E\varphi(g)^2 \cdot \lambda_{\max}(A)^2},

    with g standard normal and λ_max the spectral radius: for ReLU 2/fan_in where that is 1, as it is for both
    normalized aggregations.
    The degree of a node enters through A only.

    Args:
        aggregation: A, (N, N), with a spectral radius above 0.
        fan_in: features of a node that enter the layer, positive.
        activation: φ.

    Raises:
        ArgumentError: outside these ranges.

    Source:
        DeZoort and Hanin 2023 for the abstract's claim of a unique generalization of He's variance; the
        formula is derived on page 15, graph-thm-energy.

    >>> from fracrepro.theory.activations import ReLU
    >>> energy_preserving_variance([[0.0, 1.0], [1.0, 0.0]], 50, ReLU())
    0.04
    """
    fan_in = arguments.real("fan_in", fan_in, "(0, inf)")
    square = check_activation("activation", activation).even_moment(1)
    radius = spectral_radius(aggregation)
    if radius == 0.0:
        raise ArgumentError("aggregation: its spectral radius is 0, so that every signal ends")
    return 1.0 / (fan_in * square * radius**2)


def check_aggregation(name: str, value: Any) -> np.ndarray:
    """Return `value` as a square float64 matrix; ArgumentError for anything else."""
    matrix = arguments.reals(name, value, "(-inf, inf)")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ArgumentError(f"{name} has shape {matrix.shape}: need a square matrix, a row for each node")
    return matrix


def _degrees(adjacency: ArrayLike, self_loops: bool) -> tuple[np.ndarray, np.ndarray]:
    """The weights of the edges, self-loops included, and their sums over the neighbours."""
    weights = check_aggregation("adjacency", arguments.reals("adjacency", adjacency, "[0, inf)"))
    weights = weights + (np.eye(len(weights)) if self_loops else 0.0)
    degrees = weights.sum(axis=1)
    if not degrees.all():
        raise ArgumentError(f"adjacency: node {int(np.argmin(degrees))} has no neighbours: need self_loops")
    return weights, degrees
